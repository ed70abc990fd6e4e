// Pieces that several views are made of.
import {html, nothing, svg} from 'lit-html';

import {thumbnail} from './api.js';
import {percent} from './format.js';
import {t} from './texts.js';

const kIcons = {
  live: 'M2 8h3l2-5 3 10 2-5h2', search: 'M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2M11 11l3.5 3.5',
  cameras: 'M1.5 5.5h9v6h-9zM10.5 8l4-2.5v6l-4-2.5', alerts: 'M8 2a4 4 0 0 0-4 4c0 4-1.5 5-1.5 5h11S12 10 12 6a4 4 0 0 0-4-4M6.5 13.5h3',
  communication: 'M3 13V9M8 13V3M13 13V6', blacklist: 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.800M3.700 3.700l8.600 8.600',
  statistics: 'M2 2v12h12M5 11V8M8.500 11V4M12 11V6.500', config: 'M2 4.500h7M12 4.500h2M9 3v3h3V3zM2 11.500h2M7 11.500h7M4 10v3h3v-3z',
  menu: 'M2 4h12M2 8h12M2 12h12', sun: 'M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6M8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.500 9.500A6 6 0 0 1 6.500 2.500a6 6 0 1 0 7 7', auto: 'M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2M8 2v12M8 5h3.500M8 8h5.500M8 11h4',
  image: 'M2 3h12v10H2zM2 11l4-4 3 3 2-2 3 3', pause: 'M5 3v10M11 3v10', play: 'M4 2.500v11l9-5.500z',
  person: 'M8 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6M2.500 14a5.500 5.500 0 0 1 11 0', back: 'M10 3L5 8l5 5', plus: 'M8 2v12M2 8h12', minus: 'M2 8h12',
};

export const icon = (name) => html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">${
  svg`<path d=${kIcons[name]}></path>`}</svg>`;

export const skeleton = (count, kind = 'row') => html`<div class="skeletons skeletons-${kind}" role="status">
  <span class="visually-hidden">${t('state.loading')}</span>
  ${Array.from({length: count}, () => html`<div class="skeleton skeleton-${kind}"></div>`)}</div>`;

export const empty = (title, what, more = nothing) => html`<div class="empty">
  <h2 class="h6">${title}</h2><p>${what}</p>${more}</div>`;

function reason(error) {
  if (error.status === 0) return t('error.unreachable');
  if (error.status === 403) return t('error.forbidden');
  if (error.status === 429) return t('error.limited');
  if (error.status === 501) return t('error.not_here');
  if (error.status === 503) return t('error.busy');
  return t('error.failed');
}

export function problem(error, again) {
  if (!error) return nothing;
  const detail = error.status === 0 ? '' : error.message;
  return html`<div class="alert alert-danger problem" role="alert"><div><strong>${reason(error)}</strong>
    ${detail ? html`<div class="detail">${detail}</div>` : nothing}</div>
    ${again ? html`<button class="btn btn-sm btn-outline-danger" @click=${again}>${t('action.again')}</button>` : nothing}</div>`;
}

// A number plate, as large as its surroundings say.
export const plate = (text, more = '') => html`<span class="plate ${more}" translate="no">${
  text || t('plate.unread')}</span>`;

// Rounded down: only what is certain is 100 %.
export function confidence(value) {
  if (!Number.isFinite(value)) return nothing;
  const kind = value >= 0.9 ? 'good' : value >= 0.7 ? 'fair' : 'poor';
  return html`<span class="confidence confidence-${kind}" title=${t('field.confidence')}>${percent(Math.floor(value * 100) / 100)}</span>`;
}

const kStatusKinds = {
  online: 'good', healthy: 'good', stored: 'good', done: 'good', confirmed: 'good', closed: 'good', ready: 'good', running: 'good',
  offline: 'bad', error: 'bad', failed: 'bad', open: 'bad', critical: 'bad', unhealthy: 'bad',
  warning: 'fair', degraded: 'fair', half_open: 'fair', waiting: 'fair', maintenance: 'fair', unconfirmed: 'fair', old: 'fair',
};

// A state is never told by colour alone.
export const status = (name) => (name ? html`<span class="state state-${Object.hasOwn(kStatusKinds, name) ? kStatusKinds[name] : 'plain'}">${
  t(`status.${name}`)}</span>` : html`<span class="text-body-secondary">–</span>`);

const kTries = 3;  // A node that has much to do says so instead of sending an image.
const kAgainMs = 3000;

function hide({target}) {
  target.classList.add('broken');
  const tries = Number(target.dataset.tries ?? 1);
  if (tries >= kTries) return;
  target.dataset.tries = tries + 1;
  const {src} = target;
  setTimeout(() => { if (target.isConnected && target.src === src) target.src = src; }, kAgainMs * tries);
}
const show = ({target}) => target.classList.remove('broken');

export function picture(url, width, description, more = '') {
  if (!url) return html`<div class="no-picture ${more}">${icon('image')}<span class="visually-hidden">${t('image.none')}</span></div>`;
  return html`<img class=${more} src=${thumbnail(url, width)} alt=${description} loading="lazy" decoding="async" @error=${hide} @load=${show}>`;
}

// Styles are set as properties throughout: the content policy allows none in the page's text.
export const bar = (share, description) => html`<div class="share" role="img" aria-label=${description}><div
  .style=${`width: ${Math.min(100, Math.max(0, (share || 0) * 100))}%`}></div></div>`;

export const heading = (title, more = nothing) => html`<div class="view-head"><h1 id="view-title" tabindex="-1">${title}</h1>
  <div class="view-tools">${more}</div></div>`;

// A table whose columns are {title, cell(row), kind}; on a phone each row is a card.
export const table = (caption, columns, rows, rowClass = () => '') => html`<div class="table-frame" tabindex="0" role="region" aria-label=${caption}>
  <table class="table cards"><caption class="visually-hidden">${caption}</caption>
  <thead><tr>${columns.map((c) => html`<th scope="col" class=${c.kind ?? ''}>${c.title}</th>`)}</tr></thead>
  <tbody>${rows.map((row) => html`<tr class=${rowClass(row)}>${columns.map((c) => html`<td class=${c.kind ?? ''} data-title=${c.title}><div>${
    c.cell(row)}</div></td>`)}</tr>`)}</tbody></table></div>`;

export const moreButton = (cursor, busy, act) => (cursor ? html`<div class="text-center my-3"><button class="btn btn-outline-secondary"
  ?disabled=${busy} @click=${act}>${t(busy ? 'state.loading' : 'action.more')}</button></div>` : nothing);
