// How much is seen, by hour, day and camera.
import {html, nothing} from 'lit-html';

import {day, hour, number} from '../format.js';
import {empty, heading, problem, skeleton, table} from '../parts.js';
import {allCameras, cameraName} from '../records.js';
import {t} from '../texts.js';
import {watchTheme} from '../theme.js';
import {View} from '../view.js';

const kHourMs = 3600000;
const kRefreshMs = 30000;
const kMostCameras = 30;
// What is shown by default: the last day by hours, the last month by days, the last week by camera.
const kSpans = {hour: 24 * kHourMs, day: 30 * 24 * kHourMs, camera: 7 * 24 * kHourMs};

export class Statistics extends View {
  figures = null;
  points = null;
  cameras = [];
  asTable = false;
  #drawBars = null;
  #drawn = null;
  #chart = null;

  get by() { return this.query.get('by') in kSpans ? this.query.get('by') : 'hour'; }
  get cameraId() { return this.query.get('camera_id') ?? ''; }

  start() {
    this.every(kRefreshMs, () => this.#load());
    this.until(watchTheme(() => { this.#drawn = null; }));
    this.until(() => this.#chart?.destroy());
    this.#load();
    import('../chart.js').then(({drawBars}) => { this.#drawBars = drawBars; this.app.redraw(); });
  }

  moved(address) {
    this.query = address.query;
    this.points = null;
    this.#load();
    return true;
  }

  // Whole hours and days of this browser's zone, so that the last bar is the present one.
  #from() {
    const from = new Date(Date.now() - kSpans[this.by]);
    if (this.by === 'hour') from.setMinutes(0, 0, 0);
    else from.setHours(0, 0, 0, 0);
    return from.toISOString();
  }

  #load() {
    const {by} = this;
    return this.attempt(async () => {
      const [figures, series, cameras] = await Promise.all([
        this.get('/api/statistics'),
        this.get('/api/statistics/series', {by, from: this.#from(), camera_id: by === 'camera' ? '' : this.cameraId}),
        allCameras((path, query) => this.get(path, query))]);
      if (by !== this.by) return;
      Object.assign(this, {figures: figures.data, points: this.#shown(series.points), cameras});
    });
  }

  // The node names every hour and day of the span; of cameras those that saw most are shown.
  #shown(points) {
    return this.by === 'camera' ? points.toSorted((a, b) => b.detections - a.detections).slice(0, kMostCameras) : points;
  }

  #label(point) {
    if (this.by === 'camera') {
      const camera = this.cameras.find((c) => c.camera_id === point.camera_id);
      return camera ? cameraName(camera) : point.camera_id;
    }
    return this.by === 'hour' ? hour(point.start) : day(point.start);
  }

  #go(changes) {
    const query = new URLSearchParams({by: this.by, camera_id: this.cameraId, ...changes});
    this.app.go(`#/statistics?${query}`);
  }

  #tools() {
    const by = (name) => html`<button class="btn btn-sm btn-outline-primary" aria-pressed=${name === this.by ? 'true' : 'false'}
      @click=${() => this.#go({by: name})}>${t(`statistics.by_${name}`)}</button>`;
    return html`<div class="btn-group" role="group" aria-label=${t('statistics.by')}>${by('hour')}${by('day')}${by('camera')}</div>
      ${this.by === 'camera' ? nothing : html`<select class="form-select form-select-sm" aria-label=${t('field.camera')} @change=${
        (event) => this.#go({camera_id: event.target.value})}><option value="">${t('statistics.all_cameras')}</option>${
        this.cameras.map((c) => html`<option value=${c.camera_id} ?selected=${c.camera_id === this.cameraId}>${cameraName(c)}</option>`)}</select>`}`;
  }

  #cards() {
    const f = this.figures;
    const card = (title, value) => html`<div><dt>${title}</dt><dd>${number(value)}</dd></div>`;
    return html`<dl class="figures">${card(t('statistics.today'), f.today_detections)}${card(t('statistics.total'), f.total_detections)}${
      card(t('statistics.active'), f.active_cameras)}${card(t('nav.cameras'), f.total_cameras)}${card(t('nav.blacklist'), f.blacklist_count)}</dl>`;
  }

  #chartPart() {
    if (!this.points.some((p) => p.detections)) return empty(t('statistics.empty'), t('statistics.empty_what'));
    const toggle = () => { this.asTable = !this.asTable; this.app.redraw(); };
    const title = t(`statistics.title_${this.by}`);
    const sum = this.points.reduce((all, p) => all + p.detections, 0);
    return html`<section class="panel"><div class="chart-head"><h2>${title}</h2>
      <span class="legend"><span class="key-1"></span>${t('field.detections')} <span class="key-2"></span>${t('field.plates')}</span>
      <button class="btn btn-sm btn-outline-secondary" aria-pressed=${this.asTable ? 'true' : 'false'} @click=${toggle}>${t('statistics.as_table')}</button></div>
      ${this.asTable ? table(title, [
        {title: t(this.by === 'camera' ? 'field.camera' : 'field.time'), cell: (p) => this.#label(p)},
        {title: t('field.detections'), kind: 'numeric', cell: (p) => number(p.detections)},
        {title: t('field.plates'), kind: 'numeric', cell: (p) => number(p.plates)}], this.points)
        : html`<div class="chart ${this.by === 'camera' ? 'chart-long' : ''}"><canvas role="img" aria-label=${
          t('statistics.summary', {title, n: number(sum)})}></canvas></div>`}</section>`;
  }

  drawn() {
    const canvas = document.querySelector('.chart canvas');
    if (!canvas || !this.#drawBars || !this.points) return;
    const key = canvas.dataset.drawn;
    if (key && this.#drawn === this.points) return;
    this.#drawn = this.points;
    canvas.dataset.drawn = 'yes';
    this.#chart = this.#drawBars(canvas, this.points.map((p) => this.#label(p)), [
      {label: t('field.detections'), values: this.points.map((p) => p.detections)},
      {label: t('field.plates'), values: this.points.map((p) => p.plates)}], this.by === 'camera');
  }

  render() {
    return html`${heading(t('nav.statistics'), this.#tools())}${problem(this.error, () => this.#load())}${
      this.points === null ? (this.error ? nothing : skeleton(6)) : html`${this.#cards()}${this.#chartPart()}`}`;
  }
}
