// Stored detections by plate, time, camera and confidence, newest first, page by page.
import {html} from 'lit-html';

import {dateTime, fromField, number, percent, toField} from '../format.js';
import {confidence, empty, heading, picture, plate, problem, skeleton} from '../parts.js';
import {allCameras, cameraName, detectionLink, platesOf} from '../records.js';
import {t} from '../texts.js';
import {View} from '../view.js';
import {withQuery} from '../api.js';
import {VirtualList} from '../virtual_list.js';

const kPage = 100;
const kMostRows = 20000;  // That are kept in the page; who looks for more asks more exactly.
const kFilters = ['plate', 'camera_id', 'from', 'to', 'min_confidence'];
const narrow = matchMedia('(max-width: 700px)');

export class Search extends View {
  rows = null;
  total = null;
  cursor = null;
  cameras = [];
  busy = false;
  list = new VirtualList({
    rowHeight: () => (narrow.matches ? 96 : 64), key: (r) => r.detection_id, row: (r) => this.#row(r),
    more: () => this.#more(), redraw: () => this.app.redraw()});

  start() {
    this.until(() => this.list.stop());
    this.#search();
    allCameras((path, query) => this.get(path, query)).then(
        (cameras) => { this.cameras = cameras; this.app.redraw(); }, () => {});
  }

  moved(address) {
    this.query = address.query;
    this.rows = null;
    this.#search();
    return true;
  }

  get #filters() { return Object.fromEntries(kFilters.map((name) => [name, this.query.get(name)])); }

  #search() {
    this.rows = null;
    this.cursor = null;
    this.list.toTop();
    return this.#page();
  }

  async #page() {
    const asked = this.query;
    this.busy = true;
    await this.attempt(async () => {
      const page = await this.get('/api/records', {...this.#filters, limit: kPage, cursor: this.cursor});
      if (asked !== this.query) return;
      this.rows = [...(this.rows ?? []), ...page.records];
      this.cursor = page.next_cursor;
      this.total = page.total_count ?? null;
    });
    if (asked === this.query) this.busy = false;
  }

  #more() {
    if (!this.busy && !this.error && this.rows.length < kMostRows) this.#page();
  }

  #submit(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    const query = {plate: form.get('plate').trim(), camera_id: form.get('camera_id'), from: fromField(form.get('from')),
                   to: fromField(form.get('to')), min_confidence: form.get('min_confidence')};
    const address = withQuery('#/search', query);
    if (address === location.hash) this.#search();
    else this.app.go(address);
  }

  #form() {
    const field = (name) => this.query.get(name) ?? '';
    const time = (name) => (field(name) ? toField(field(name)) : '');
    const known = this.cameras.some((c) => c.camera_id === field('camera_id'));
    return html`<form class="filters panel" role="search" @submit=${(event) => this.#submit(event)}>
      <div><label class="form-label" for="plate">${t('field.plate')}</label>
        <input class="form-control" id="plate" name="plate" type="search" maxlength="64" autocomplete="off" spellcheck="false" .value=${field('plate')} placeholder=${t('search.plate_example')}></div>
      <div><label class="form-label" for="camera_id">${t('field.camera')}</label>
        <select class="form-select" id="camera_id" name="camera_id"><option value="">${t('search.any')}</option>
        ${field('camera_id') && !known ? html`<option selected value=${field('camera_id')}>${field('camera_id')}</option>` : ''}
        ${this.cameras.map((c) => html`<option value=${c.camera_id} ?selected=${c.camera_id === field('camera_id')}>${cameraName(c)}</option>`)}</select></div>
      <div><label class="form-label" for="from">${t('field.from')}</label>
        <input class="form-control" id="from" name="from" type="datetime-local" .value=${time('from')}></div>
      <div><label class="form-label" for="to">${t('field.to')}</label>
        <input class="form-control" id="to" name="to" type="datetime-local" .value=${time('to')}></div>
      <div><label class="form-label" for="min_confidence">${t('field.min_confidence')}</label>
        <select class="form-select" id="min_confidence" name="min_confidence"><option value="">${t('search.any')}</option>
        ${['0.5', '0.7', '0.8', '0.9', '0.95', '0.99'].map((v) => html`<option value=${v} ?selected=${v === field('min_confidence')}>≥ ${percent(Number(v))}</option>`)}</select></div>
      <div class="filter-buttons"><button class="btn btn-primary">${t('search.go')}</button>
        <a class="btn btn-outline-secondary" href="#/search">${t('search.clear')}</a></div></form>`;
  }

  #row(record) {
    const plates = platesOf(record);
    const shown = plates.slice(0, 2);
    return html`<a class="result" href=${detectionLink(record)}>
      <span class="result-picture">${picture(record.annotated_image ?? plates[0]?.image, 160, '')}</span>
      <span class="result-plates">${shown.length ? shown.map((p) => html`<span>${plate(p.text)} ${confidence(p.confidence)}</span>`)
        : html`<span class="text-body-secondary">${t('plate.none')}</span>`}${plates.length > 2 ? html`<span>+${plates.length - 2}</span>` : ''}</span>
      <span class="result-camera">${record.camera_id}<span class="text-body-secondary"> · ${record.checkpoint_id}</span></span>
      <time class="result-time" datetime=${record.timestamp}>${dateTime(record.timestamp)}</time></a>`;
  }

  #results() {
    if (this.rows === null) return this.error ? '' : skeleton(8);
    if (!this.rows.length && this.cursor) return this.error ? '' : skeleton(8);
    if (!this.rows.length) return empty(t('search.empty'), t('search.empty_what'));
    const full = this.rows.length >= kMostRows ? html`<p class="text-body-secondary">${t('search.full', {n: number(kMostRows)})}</p>` : '';
    return html`${full}${this.list.render(t('search.results'), this.rows, this.total)}`;
  }

  #count() {
    if (this.rows === null) return '';
    const n = this.total ?? this.rows.length;
    return html`<span class="text-body-secondary" role="status">${
      t(this.total === null && this.cursor ? 'search.count_more' : 'search.count', {n: number(n)})}</span>`;
  }

  drawn() {
    // A page may hold nothing and yet not be the last: the node looked through so much at a time.
    if (this.cursor && !this.rows?.length) this.#more();
    const frame = document.querySelector('.virtual');
    this.list.drawn(frame, this.rows ?? [], Boolean(this.cursor));
  }

  render() {
    return html`<div class="fill">${heading(t('nav.search'), this.#count())}${this.#form()}${
      problem(this.error, () => this.#search())}${this.#results()}</div>`;
  }
}
