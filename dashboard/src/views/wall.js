// The wall: the newest detections, as they come.
import {html, nothing} from 'lit-html';
import {repeat} from 'lit-html/directives/repeat.js';

import {clock} from '../format.js';
import {confidence, empty, heading, icon, picture, plate, problem, skeleton} from '../parts.js';
import {detectionLink, fromEvent, platesOf} from '../records.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kTiles = 24;
// Events have no images: the newest records are asked for, at once where that was not done for a
// while, else once for all that came in this time.
const kDetailsAtOnceMs = 50;
const kDetailsMs = 800;
const kFreshMs = 1200;

export class Wall extends View {
  tiles = null;
  paused = false;
  held = [];       // Came while it stood still.
  missed = null;   // After a lost connection: how many were fetched, or null.
  #wanted = new Map();  // Reasons by detection and plate of the blacklist.
  #asking = null;
  #asked = -kDetailsMs;
  #wasLost = false;

  start() {
    this.on('new_detection', (body) => this.#take(fromEvent(body)));
    this.on('blacklist_alert', (body) => this.#mark(body));
    this.on('state', (state) => { if (state === 'lost') this.#wasLost = true; });
    this.on('resume', () => this.#fetch(this.#wasLost));
    this.#fetch(false);
  }

  get #still() { return this.paused || this.#focusWithin(); }
  // What somebody is about to open by the keyboard must not move away.
  #focusWithin() { return Boolean(document.activeElement?.closest?.('.wall') && document.querySelector('.wall :focus-visible')); }

  #take(record) {
    record.came = performance.now();
    if (this.#knows(record.detection_id)) return;
    if (this.#still) this.held = [record, ...this.held].slice(0, kTiles);
    else this.tiles = [record, ...this.held, ...(this.tiles ?? [])].slice(0, kTiles);
    if (!this.#still) this.held = [];
    this.#askSoon();
  }

  #knows(id) {
    return [...(this.tiles ?? []), ...this.held].some((tile) => tile.detection_id === id);
  }

  #askSoon() {
    const wait = Math.max(kDetailsAtOnceMs, this.#asked + kDetailsMs - performance.now());
    this.#asking ??= setTimeout(() => { this.#asking = null; if (!this.ended) this.#fetch(false); }, wait);
  }

  #mark(body) {
    this.#wanted.set(body.detection_id, body.reason || t('blacklist.seen'));
    if (this.#wanted.size > 4 * kTiles) this.#wanted.delete(this.#wanted.keys().next().value);
  }

  #fetch(afterLoss) {
    this.#asked = performance.now();
    return this.attempt(async () => {
      const {records} = await this.get('/api/records', {limit: kTiles});
      if (afterLoss) {
        this.missed = records.filter((r) => !this.#knows(r.detection_id)).length;
        this.#wasLost = false;
      }
      this.#merge(records);
    });
  }

  // Tiles get their details; records that no event has told of come in, too, unless it stands still.
  #merge(records) {
    const known = new Map(records.map((r) => [r.detection_id, r]));
    const detailed = (tile) => ({...tile, ...known.get(tile.detection_id)});
    const fresh = records.filter((r) => !this.#knows(r.detection_id));
    const first = this.tiles === null;
    const old = (this.tiles ?? []).map(detailed);
    this.held = this.held.map(detailed);
    if (this.#still && !first) this.held = [...fresh, ...this.held].slice(0, kTiles);
    else this.tiles = this.#inOrder([...fresh, ...this.held.splice(0), ...old]);
  }

  // By arrival, as far as it is known; what is newer than any record has none yet.
  #inOrder(tiles) {
    const key = (tile) => (tile.created_at ? Date.parse(tile.created_at) : Infinity);
    return tiles.map((tile, at) => [tile, at])
        .sort(([a, i], [b, j]) => (key(a) === key(b) ? i - j : key(b) - key(a)))
        .map(([tile]) => tile).slice(0, kTiles);
  }

  #release() {
    this.paused = false;
    this.tiles = this.#inOrder([...this.held, ...(this.tiles ?? [])]);
    this.held = [];
    this.app.redraw();
  }

  // Arrow keys go from tile to tile.
  #onKey(event) {
    const links = [...event.currentTarget.querySelectorAll('.tile')];
    const at = links.indexOf(event.target.closest('.tile'));
    const columns = links.findIndex((l) => l.offsetTop !== links[0].offsetTop);
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns}[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    links[at + step]?.focus();
  }

  #tile(tile) {
    const plates = platesOf(tile);
    const reason = this.#wanted.get(tile.detection_id);
    const fresh = tile.came && performance.now() - tile.came < kFreshMs;
    const first = plates[0];
    return html`<a class="tile ${reason ? 'tile-wanted' : ''} ${fresh ? 'tile-fresh' : ''}" href=${detectionLink(tile)} data-id=${tile.detection_id}>
      <span class="tile-picture">${tile.plates === null ? html`<span class="skeleton"></span>`
        : picture(tile.annotated_image ?? first?.image, 320, '')}
        ${tile.annotated_image && first?.image ? picture(first.image, 160, '', 'tile-crop') : nothing}</span>
      <span class="tile-plates">${plates.length ? plates.slice(0, 2).map((p) => html`<span class="tile-plate">${plate(p.text)}${
        confidence(p.confidence)}</span>`) : html`<span class="text-body-secondary">${t('plate.none')}</span>`}
        ${plates.length > 2 ? html`<span class="more-plates">+${plates.length - 2}</span>` : nothing}</span>
      ${reason ? html`<span class="wanted-reason">${t('blacklist.seen')}: ${reason}</span>` : nothing}
      <span class="tile-foot"><span class="tile-camera">${tile.camera_id} · ${tile.checkpoint_id}</span><time datetime=${
        tile.timestamp}>${clock(tile.timestamp)}</time></span></a>`;
  }

  #tools() {
    const toggle = () => { if (this.paused) this.#release(); else { this.paused = true; this.app.redraw(); } };
    return html`${this.held.length ? html`<button class="btn btn-sm btn-primary" @click=${() => this.#release()}>${
      t('wall.held', {n: this.held.length === kTiles ? `${kTiles}+` : this.held.length})}</button>` : nothing}
      <button class="btn btn-sm btn-outline-secondary" aria-pressed=${this.paused ? 'true' : 'false'} @click=${toggle}>${
        icon(this.paused ? 'play' : 'pause')} ${t(this.paused ? 'wall.go' : 'wall.pause')}</button>`;
  }

  #back() {
    if (this.missed === null || this.app.live.state === 'lost') return nothing;
    const text = this.missed >= kTiles ? t('wall.back_many') : t('wall.back', {n: this.missed});
    const forget = () => { this.missed = null; this.app.redraw(); };
    return html`<div class="alert alert-success back" role="status">${text}
      <a href="#/search">${t('nav.search')}</a>
      <button class="btn-close" aria-label=${t('action.dismiss')} @click=${forget}></button></div>`;
  }

  #content() {
    if (this.tiles === null) return this.error ? nothing : skeleton(12, 'tile');
    if (!this.tiles.length) return empty(t('wall.empty'), t('wall.empty_what'));
    return html`<div class="wall" @keydown=${(event) => this.#onKey(event)}>${
      repeat(this.tiles, (tile) => tile.detection_id, (tile) => this.#tile(tile))}</div>`;
  }

  render() {
    return html`${heading(t('nav.live'), this.#tools())}${this.#back()}${
      problem(this.app.live.state === 'lost' ? null : this.error, () => this.#fetch(false))}${this.#content()}`;
  }
}
