// All cameras, as a list and on a map.
import {html} from 'lit-html';

import {ago, number} from '../format.js';
import {CameraMap} from '../map.js';
import {empty, heading, problem, skeleton, status, table} from '../parts.js';
import {allCameras, cameraLink, cameraName} from '../records.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kRefreshMs = 15000;
const kMostRows = 500;

export class Cameras extends View {
  cameras = null;
  wanted = '';
  map = new CameraMap(() => this.app.redraw());

  start() {
    this.on('camera_status', (body) => this.#onStatus(body));
    this.on('resume', () => this.#load());
    this.every(kRefreshMs, () => this.#load());
    this.#load();
  }

  #load() {
    return this.attempt(async () => {
      this.cameras = await allCameras((path, query) => this.get(path, query));
    });
  }

  #onStatus(body) {
    const camera = this.cameras?.find((c) => c.camera_id === body.camera_id);
    if (!camera) return this.#load();
    Object.assign(camera, {status: body.status, ...(body.status === 'online' && {last_seen: body.timestamp})});
  }

  #columns() {
    return [
      {title: t('field.camera'), cell: (c) => html`<a href=${cameraLink(c.camera_id)}>${cameraName(c)}</a>${
        c.camera_name ? html`<div class="small text-body-secondary">${c.camera_id}</div>` : ''}`},
      {title: t('field.checkpoint'), cell: (c) => c.checkpoint_id},
      {title: t('field.status'), cell: (c) => status(c.status)},
      {title: t('field.health'), cell: (c) => status(c.health_status)},
      {title: t('field.last_seen'), cell: (c) => ago(c.last_seen)},
      {title: t('field.detections'), kind: 'numeric', cell: (c) => number(c.detection_count)},
    ];
  }

  #content() {
    if (this.cameras === null) return this.error ? '' : skeleton(6);
    if (!this.cameras.length) return empty(t('cameras.empty'), t('cameras.empty_what'));
    const words = this.wanted.toLowerCase();
    const shown = this.cameras.filter((c) => [c.camera_id, c.camera_name, c.checkpoint_id].some((w) => w?.toLowerCase().includes(words)));
    return html`<div class="cameras"><section aria-label=${t('map.title')}>${this.map.render(this.cameras)}</section>
      <section class="panel"><label class="visually-hidden" for="wanted">${t('cameras.find')}</label>
      <input class="form-control mb-2" id="wanted" type="search" placeholder=${t('cameras.find')} .value=${this.wanted}
        @input=${(event) => { this.wanted = event.target.value; this.app.redraw(); }}>
      ${table(t('cameras.list'), this.#columns(), shown.slice(0, kMostRows))}
      ${shown.length > kMostRows ? html`<p>${t('cameras.many', {n: number(shown.length - kMostRows)})}</p>` : ''}</section></div>`;
  }

  render() {
    const online = this.cameras?.filter((c) => c.status === 'online').length;
    const count = this.cameras ? html`<span class="text-body-secondary" role="status">${
      t('cameras.count', {online: number(online), all: number(this.cameras.length)})}</span>` : '';
    return html`${heading(t('nav.cameras'), count)}${problem(this.error, () => this.#load())}${this.#content()}`;
  }
}
