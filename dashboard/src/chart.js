// Bars on a canvas, in the colours of the theme. Loaded with the first chart.
import {BarController, BarElement, CategoryScale, Chart, LinearScale, Tooltip} from 'chart.js';

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Tooltip);

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(['text', 'line', 'series-1', 'series-2', 'surface'].map(
      (name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const axis = (c, more) => ({ticks: {color: c.text, maxRotation: 0, autoSkip: true, ...more}, grid: {color: c.line}, border: {color: c.line}});

function options(c, across) {
  return {
    animation: false, responsive: true, maintainAspectRatio: false, indexAxis: across ? 'y' : 'x',
    scales: {x: axis(c, across ? {precision: 0} : {}), y: {...axis(c, across ? {autoSkip: false} : {precision: 0}), beginAtZero: true}},
    plugins: {tooltip: {backgroundColor: c.surface, titleColor: c.text, bodyColor: c.text, borderColor: c.line, borderWidth: 1}},
  };
}

// `series`: [{label, values}]. `across`: bars from left to right.
export function drawBars(canvas, labels, series, across) {
  Chart.getChart(canvas)?.destroy();
  const c = colours();
  const datasets = series.map(({label, values}, at) => ({
    label, data: values, backgroundColor: c[`series-${at + 1}`], borderRadius: 2, maxBarThickness: 28}));
  return new Chart(canvas, {type: 'bar', data: {labels, datasets}, options: options(c, across)});
}
