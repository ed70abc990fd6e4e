// One camera: how it has been, its newest detections, its name and place.
import {html, nothing} from 'lit-html';

import {put} from '../api.js';
import {ago, clock, dateTime, number} from '../format.js';
import {empty, heading, icon, moreButton, picture, plate, problem, skeleton, status, table} from '../parts.js';
import {allCameras, cameraName, detectionLink, platesOf} from '../records.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kHealthPage = 50;
const kNewest = 8;

export class Camera extends View {
  camera = null;
  gone = false;
  health = null;
  cursor = null;
  newest = null;
  saved = false;

  start() {
    this.on('health_update', (body) => { if (body.camera_id === this.words[0]) this.#loadHealth(); });
    this.on('camera_status', (body) => { if (body.camera_id === this.words[0] && this.camera) this.camera.status = body.status; });
    this.#load();
  }

  async #load() {
    await this.attempt(async () => {
      const cameras = await allCameras((path, query) => this.get(path, query));
      this.camera = cameras.find((c) => c.camera_id === this.words[0]) ?? null;
      this.gone = this.camera === null;
      if (this.gone) return;
      this.newest = (await this.get('/api/records', {camera_id: this.words[0], limit: kNewest})).records;
    });
    if (this.camera && !this.ended) await this.#loadHealth();
  }

  #loadHealth(cursor = null) {
    return this.attempt(async () => {
      const page = await this.get(`/api/cameras/${encodeURIComponent(this.words[0])}/health`, {limit: kHealthPage, cursor});
      this.health = cursor ? [...this.health, ...page.health] : page.health;
      this.cursor = page.next_cursor;
    });
  }

  async #save(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    const place = (name) => (form.get(name).trim() === '' ? null : Number(form.get(name)));
    const body = {camera_name: form.get('camera_name').trim(), latitude: place('latitude'), longitude: place('longitude')};
    this.saved = await this.attempt(async () => {
      await put(`/api/cameras/${encodeURIComponent(this.words[0])}`, body);
      Object.assign(this.camera, body);
    });
    this.app.redraw();
  }

  #form() {
    if (!this.app.session.may('operator')) return nothing;
    const c = this.camera;
    const place = (name, most) => html`<div><label class="form-label" for=${name}>${t(`field.${name}`)}</label>
      <input class="form-control" id=${name} name=${name} type="number" step="any" min=${-most} max=${most} .value=${c[name] ?? ''}></div>`;
    return html`<section class="panel"><h2>${t('camera.edit')}</h2><form class="row-form" @submit=${(event) => this.#save(event)}>
      <div><label class="form-label" for="camera_name">${t('field.name')}</label>
        <input class="form-control" id="camera_name" name="camera_name" maxlength="128" .value=${c.camera_name ?? ''}></div>
      ${place('latitude', 90)}${place('longitude', 180)}
      <button class="btn btn-primary">${t('action.save')}</button>
      <span role="status">${this.saved ? t('state.saved') : nothing}</span></form></section>`;
  }

  // What a health message says beside its state, in one line.
  #details(row) {
    const {message, component, details, ...rest} = row.data ?? {};
    const more = Object.entries(typeof details === 'object' && details ? details : rest)
        .filter(([, value]) => ['number', 'string', 'boolean'].includes(typeof value)).slice(0, 8)
        .map(([name, value]) => `${name} ${value}`).join(', ');
    return [component, message, more].filter(Boolean).join(' · ');
  }

  #history() {
    if (this.health === null) return this.error ? nothing : skeleton(4);
    if (!this.health.length) return empty(t('camera.no_health'), t('camera.no_health_what'));
    const strip = this.health.slice(0, kHealthPage).toReversed();
    return html`<div class="health-strip" role="img" aria-label=${t('camera.strip', {n: strip.length,
      bad: strip.filter((h) => h.status !== 'healthy').length})}>${strip.map((h) => html`<span class="health-${h.status}" title="${dateTime(h.timestamp)}"></span>`)}</div>
      ${table(t('camera.history'), [
        {title: t('field.time'), cell: (h) => dateTime(h.timestamp)},
        {title: t('field.status'), cell: (h) => status(h.status)},
        {title: t('field.details'), cell: (h) => this.#details(h)},
      ], this.health)}${moreButton(this.cursor, false, () => this.#loadHealth(this.cursor))}`;
  }

  #newest() {
    if (!this.newest?.length) return nothing;
    return html`<section class="panel"><h2>${t('camera.newest')}</h2><div class="strip">${this.newest.map((r) => html`<a class="tile tile-small" href=${detectionLink(r)}>
      <span class="tile-picture">${picture(r.annotated_image ?? platesOf(r)[0]?.image, 320, '')}</span>
      <span class="tile-plates">${platesOf(r).slice(0, 1).map((p) => plate(p.text))}</span>
      <span class="tile-foot"><time datetime=${r.timestamp}>${clock(r.timestamp)}</time></span></a>`)}</div>
      <a href="#/search?camera_id=${encodeURIComponent(this.words[0])}">${t('camera.all')}</a></section>`;
  }

  render() {
    const back = html`<a class="btn btn-sm btn-outline-secondary" href="#/cameras">${icon('back')} ${t('nav.cameras')}</a>`;
    if (this.gone) return html`${heading(this.words[0], back)}${empty(t('camera.gone'), t('camera.gone_what'))}`;
    const c = this.camera;
    if (!c) return html`${heading(this.words[0] ?? '', back)}${problem(this.error, () => this.#load())}${this.error ? nothing : skeleton(6)}`;
    return html`${heading(cameraName(c), back)}${problem(this.error, () => this.#load())}
      <dl class="figures"><div><dt>${t('field.status')}</dt><dd>${status(c.status)}</dd></div>
        <div><dt>${t('field.health')}</dt><dd>${status(c.health_status)}</dd></div>
        <div><dt>${t('field.last_seen')}</dt><dd>${ago(c.last_seen)}</dd></div>
        <div><dt>${t('field.checkpoint')}</dt><dd>${c.checkpoint_id}</dd></div>
        <div><dt>${t('field.detections')}</dt><dd>${number(c.detection_count)}</dd></div></dl>
      ${this.#newest()}<section class="panel"><h2>${t('camera.history')}</h2>${this.#history()}</section>${this.#form()}`;
  }
}
