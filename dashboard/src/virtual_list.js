// A list of any length of which only the rows in sight are in the page. All rows are as high as
// rowHeight() says; the owner is told when the last ones come near, and fetches more.
import {html, nothing} from 'lit-html';
import {repeat} from 'lit-html/directives/repeat.js';

const kBeyond = 6;  // Rows above and below what is in sight.

export class VirtualList {
  #top = 0;
  #height = 600;
  #frame = null;

  // `row(item)`: its template. `more()`: fetch the next page. `redraw()`: draw the page.
  constructor({rowHeight, key, row, more, redraw}) {
    Object.assign(this, {rowHeight, key, row, more, redraw});
    this.sizes = new ResizeObserver(([entry]) => this.#resized(entry.contentRect.height));
  }

  stop() { this.sizes.disconnect(); }

  toTop() {
    this.#top = 0;
    if (this.#frame) this.#frame.scrollTop = 0;
  }

  #resized(height) {
    if (Math.abs(height - this.#height) < 1) return;
    this.#height = height;
    this.redraw();
  }

  #onScroll(event) {
    this.#top = event.target.scrollTop;
    this.redraw();
  }

  // After the page was drawn.
  drawn(frame, items, canGoOn) {
    if (frame !== this.#frame) {
      this.sizes.disconnect();
      this.#frame = frame;
      if (frame) this.sizes.observe(frame);
    }
    if (frame && canGoOn && this.#last(items) >= items.length - kBeyond) this.more();
  }

  #first() { return Math.max(0, Math.floor(this.#top / this.rowHeight()) - kBeyond); }
  #last(items) {
    return Math.min(items.length, Math.ceil((this.#top + this.#height) / this.rowHeight()) + kBeyond);
  }

  // Arrow keys move from row to row, also to rows that are not in the page yet.
  #onKey(event, items) {
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    const at = Number(event.target.closest?.('[data-at]')?.dataset.at);
    if (!step || Number.isNaN(at)) return;
    event.preventDefault();
    const next = Math.min(items.length - 1, Math.max(0, at + step));
    const height = this.rowHeight();
    if (next * height < this.#top) this.#frame.scrollTop = next * height;
    if ((next + 1) * height > this.#top + this.#height) this.#frame.scrollTop = (next + 1) * height - this.#height;
    this.#frame.querySelector(`[data-at="${next}"] a`)?.focus({preventScroll: true});
  }

  render(name, items, total) {
    const height = this.rowHeight();
    const first = this.#first();
    const rows = items.slice(first, this.#last(items)).map((item, offset) => ({item, at: first + offset}));
    return html`<div class="virtual" role="list" aria-label=${name} tabindex="0" @scroll=${(e) => this.#onScroll(e)} @keydown=${(e) => this.#onKey(e, items)}>
      <div class="virtual-inside" role="presentation" .style=${`height: ${items.length * height}px`}>
      ${repeat(rows, ({item}) => this.key(item), ({item, at}) => html`<div class="virtual-row" role="listitem" data-at=${at}
        aria-posinset=${at + 1} aria-setsize=${total ?? nothing} .style=${`transform: translateY(${at * height}px); height: ${height}px`}>${
          this.row(item)}</div>`)}</div></div>`;
  }
}
