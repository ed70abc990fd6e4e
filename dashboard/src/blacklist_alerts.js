// Plates of the blacklist that were just seen: they stay until somebody has dismissed them.
import {html, nothing} from 'lit-html';
import {repeat} from 'lit-html/directives/repeat.js';

import {clock} from './format.js';
import {plate} from './parts.js';
import {t} from './texts.js';

const kMost = 4;

export class BlacklistAlerts {
  #seen = [];
  #more = 0;

  constructor(app) {
    this.app = app;
    app.live?.on('blacklist_alert', (body) => this.#take(body));
  }

  #take(body) {
    this.#seen = [body, ...this.#seen.filter((b) => b.detection_id !== body.detection_id || b.plate !== body.plate)];
    this.#more += Math.max(0, this.#seen.length - kMost);
    this.#seen.length = Math.min(this.#seen.length, kMost);
    this.app.redraw();
  }

  #dismiss(body) {
    this.#seen = body ? this.#seen.filter((b) => b !== body) : [];
    if (!this.#seen.length) this.#more = 0;
    this.app.redraw();
  }

  render() {
    return html`<section class="notices" aria-live="assertive" aria-label=${t('blacklist.seen')}>
      ${repeat(this.#seen, (b) => `${b.detection_id} ${b.plate}`, (b) => html`<div class="notice">
        <div class="notice-head"><strong>${t('blacklist.seen')}</strong>
          <button class="btn-close" aria-label=${t('action.dismiss')} @click=${() => this.#dismiss(b)}></button></div>
        <a href="#/detection/${encodeURIComponent(b.detection_id)}">${plate(b.plate)}</a>
        <div>${b.camera_id} · ${b.checkpoint_id} · ${clock(b.timestamp)}</div>
        ${b.reason ? html`<div class="reason">${b.reason}</div>` : nothing}</div>`)}
      ${this.#more ? html`<button class="btn btn-sm btn-danger" @click=${() => this.#dismiss()}>${
        t('blacklist.more', {n: this.#more})}</button>` : nothing}
    </section>`;
  }
}
