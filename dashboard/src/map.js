// Where the cameras are: a plane with north above, without anybody's tiles. Drag or arrow keys move
// it, wheel or + and - change the scale.
import {html, nothing, svg} from 'lit-html';

import {icon} from './parts.js';
import {cameraLink, cameraName} from './records.js';
import {t} from './texts.js';

const kWide = 1000;
const kHigh = 640;
const kMargin = 90;
const kMetresADegree = 111320;
const kLeastSpanM = 40;  // A single camera is shown with its surroundings.
const kMostZoom = 2 ** 14;
const kMaxLatitude = 85;

const isPlaced = (c) => Number.isFinite(c.latitude) && Number.isFinite(c.longitude);

// Metres east and north of the middle: true enough for a site, a town and a country.
function plane(cameras) {
  const clamped = (c) => Math.max(-kMaxLatitude, Math.min(kMaxLatitude, c.latitude));
  const latitudes = cameras.map(clamped);
  const middle = (Math.min(...latitudes) + Math.max(...latitudes)) / 2;
  const shrink = Math.cos(middle * Math.PI / 180);
  return cameras.map((camera) => ({
    camera, x: camera.longitude * kMetresADegree * shrink, y: -clamped(camera) * kMetresADegree}));
}

export class CameraMap {
  #zoom = 1;
  #shift = {x: 0, y: 0};  // In units of the picture.
  #drag = null;

  constructor(redraw) { this.redraw = redraw; }

  #frame(points) {
    const xs = points.map((p) => p.x);
    const ys = points.map((p) => p.y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const scale = Math.min((kWide - 2 * kMargin) / Math.max(right - left, kLeastSpanM),
                           (kHigh - 2 * kMargin) / Math.max(bottom - top, kLeastSpanM));
    return {x: (left + right) / 2, y: (top + bottom) / 2, scale};
  }

  #place(point, frame) {
    const scale = frame.scale * this.#zoom;
    return {x: kWide / 2 + (point.x - frame.x) * scale + this.#shift.x,
            y: kHigh / 2 + (point.y - frame.y) * scale + this.#shift.y};
  }

  // What lies at (x, y) of the picture stays there.
  #zoomBy(factor, x = kWide / 2, y = kHigh / 2) {
    const next = Math.min(kMostZoom, Math.max(0.25, this.#zoom * factor));
    const change = next / this.#zoom;
    this.#shift = {x: (this.#shift.x - x + kWide / 2) * change + x - kWide / 2,
                   y: (this.#shift.y - y + kHigh / 2) * change + y - kHigh / 2};
    this.#zoom = next;
    this.redraw();
  }

  #move(x, y) {
    this.#shift = {x: this.#shift.x + x, y: this.#shift.y + y};
    this.redraw();
  }

  #reset() {
    this.#zoom = 1;
    this.#shift = {x: 0, y: 0};
    this.redraw();
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => this.#move(60, 0), ArrowRight: () => this.#move(-60, 0), ArrowUp: () => this.#move(0, 60),
      ArrowDown: () => this.#move(0, -60), '+': () => this.#zoomBy(1.5), '=': () => this.#zoomBy(1.5), '-': () => this.#zoomBy(1 / 1.5),
      0: () => this.#reset()}[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #inPicture(event) {
    const box = event.currentTarget.getBoundingClientRect();
    return {x: (event.clientX - box.left) / box.width * kWide, y: (event.clientY - box.top) / box.height * kHigh};
  }

  #onWheel(event) {
    event.preventDefault();
    const {x, y} = this.#inPicture(event);
    this.#zoomBy(event.deltaY < 0 ? 1.25 : 0.8, x, y);
  }

  #onDown(event) {
    if (event.target.closest('a')) return;
    this.#drag = this.#inPicture(event);
    event.currentTarget.setPointerCapture(event.pointerId);
  }

  #onMove(event) {
    if (!this.#drag) return;
    const now = this.#inPicture(event);
    this.#move(now.x - this.#drag.x, now.y - this.#drag.y);
    this.#drag = now;
  }

  #scaleBar(frame) {
    const metresAUnit = 1 / (frame.scale * this.#zoom);
    const most = 200 * metresAUnit;
    const power = 10 ** Math.floor(Math.log10(most));
    const metres = [5, 2, 1].map((n) => n * power).find((n) => n <= most);
    const text = metres >= 1000 ? t('map.km', {n: metres / 1000}) : t('map.m', {n: Number(metres.toPrecision(2))});
    const wide = metres / metresAUnit;
    return svg`<g class="map-scale" transform="translate(24 ${kHigh - 24})"><path d="M0 -8V0H${wide}V-8"></path><text x=${wide / 2} y="-10">${text}</text></g>`;
  }

  #grid() {
    const step = 100;
    const lines = [];
    for (let x = ((this.#shift.x % step) + step) % step; x < kWide; x += step) lines.push(`M${x} 0V${kHigh}`);
    for (let y = ((this.#shift.y % step) + step) % step; y < kHigh; y += step) lines.push(`M0 ${y}H${kWide}`);
    return svg`<path class="map-grid" d=${lines.join('')}></path>`;
  }

  #marker({camera, x, y}) {
    if (x < -200 || x > kWide + 200 || y < -50 || y > kHigh + 50) return nothing;
    const title = `${cameraName(camera)}, ${t(`status.${camera.status}`)}`;
    return svg`<a href=${cameraLink(camera.camera_id)} class="map-camera map-${camera.status}" aria-label=${title} transform="translate(${x} ${y})"><g class="map-mark">
      <circle r="13"></circle>${camera.status === 'online' ? svg`<path d="M-5 0L-1.500 4L5.500 -4"></path>` : svg`<path d="M-4.500 -4.500L4.500 4.500M4.500 -4.500L-4.500 4.500"></path>`}
      <text y="34">${cameraName(camera)}</text></g></a>`;
  }

  #buttons() {
    const button = (name, title, act) => html`<button class="btn btn-sm btn-outline-secondary" aria-label=${title} title=${title} @click=${act}>${name}</button>`;
    return html`<div class="map-buttons">${button(icon('plus'), t('map.in'), () => this.#zoomBy(1.5))}${
      button(icon('minus'), t('map.out'), () => this.#zoomBy(1 / 1.5))}${button(t('map.all'), t('map.all'), () => this.#reset())}</div>`;
  }

  render(cameras) {
    const placed = cameras.filter(isPlaced);
    if (!placed.length) return html`<p class="map-none">${t('map.none')}</p>`;
    const points = plane(placed);
    const frame = this.#frame(points);
    const end = () => { this.#drag = null; };
    return html`<div class="map"><svg viewBox="0 0 ${kWide} ${kHigh}" role="group" aria-label=${t('map.title')} tabindex="0" @keydown=${(e) => this.#onKey(e)}
      @wheel=${(e) => this.#onWheel(e)} @pointerdown=${(e) => this.#onDown(e)} @pointermove=${(e) => this.#onMove(e)} @pointerup=${end} @pointercancel=${end}>
      ${this.#grid()}${points.map((p) => this.#marker({...p, ...this.#place(p, frame)}))}${this.#scaleBar(frame)}
      <g class="map-north" transform="translate(${kWide - 36} 44)"><path d="M0 14V-14M-6 -6L0 -14L6 -6"></path><text y="30">${t('map.north')}</text></g></svg>${this.#buttons()}</div>`;
  }
}
