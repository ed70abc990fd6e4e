// Figures and times as people read them.
import {language, t} from './texts.js';

// Western digits and years in both languages, as in fields for dates and on the plates' pictures.
const locale = () => (language() === 'th' ? 'th-TH-u-ca-gregory-nu-latn' : 'en-GB');

const made = new Map();
function formatter(kind, options) {
  const key = `${kind.name}${locale()}${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new kind(locale(), options));
  return made.get(key);
}

function shown(time, options) {
  const date = new Date(time);
  return time && !Number.isNaN(date.getTime())
    ? formatter(Intl.DateTimeFormat, options).format(date) : '–';
}

const kClock = {hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23'};
const kDay = {day: 'numeric', month: 'short', year: 'numeric'};

export const clock = (time) => shown(time, kClock);
export const dateTime = (time) => shown(time, {...kDay, ...kClock});
export const day = (time) => shown(time, {day: 'numeric', month: 'short'});
export const hour = (time) => shown(time, {day: 'numeric', month: 'short', hour: '2-digit',
                                           minute: '2-digit', hourCycle: 'h23'});

export const number = (value, digits = 0) => (Number.isFinite(value)
  ? formatter(Intl.NumberFormat, {maximumFractionDigits: digits}).format(value) : '–');
export const percent = (share, digits = 0) => (Number.isFinite(share)
  ? formatter(Intl.NumberFormat, {style: 'percent', maximumFractionDigits: digits}).format(share) : '–');

export function bytes(count) {
  if (!Number.isFinite(count)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; unit++) count /= 1024;
  return `${number(count, count < 10 && unit ? 1 : 0)} ${units[unit]}`;
}

export const milliseconds = (value) => (Number.isFinite(value)
  ? `${number(value, value < 10 ? 1 : 0)} ms` : '–');

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 90) return t('time.seconds', {n: number(seconds)});
  if (seconds < 5400) return t('time.minutes', {n: number(seconds / 60)});
  if (seconds < 129600) return t('time.hours', {n: number(seconds / 3600)});
  return t('time.days', {n: number(seconds / 86400)});
}

export function ago(time) {
  const at = Date.parse(time);
  if (Number.isNaN(at)) return '–';
  return t('time.ago', {span: duration(Math.max(0, (Date.now() - at) / 1000))});
}

// What a field of type datetime-local holds, in this browser's zone, and back.
export function toField(time) {
  const date = new Date(time);
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return local.toISOString().slice(0, 16);
}
export function fromField(text) {
  const at = text ? new Date(text) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : '';
}
