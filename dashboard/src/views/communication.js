// The roads of this node, what waits, files on their way, and what callers were answered.
import {html, nothing} from 'lit-html';

import {bytes, dateTime, duration, milliseconds, number, percent} from '../format.js';
import {bar, empty, heading, moreButton, problem, skeleton, status, table} from '../parts.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kRefreshMs = 5000;
const kPage = 20;
const kLogs = 20;

// What a road is up to, in one word.
const roadState = (link) => (link.breaker && link.breaker !== 'closed' ? link.breaker : link.ready ? 'ready' : 'offline');

export class Communication extends View {
  roads = null;
  protocols = null;
  sent = {files: null, cursor: null};
  received = {files: null, cursor: null};
  logs = null;
  missing = {};  // What this node has not: of one that takes no files in, for example.

  start() {
    this.on('communication_status', (body) => { if (body.protocols) this.protocols = body.protocols; });
    this.every(kRefreshMs, () => { if (!document.hidden) this.#load(); });
    this.#load();
  }

  get #maySeeRefusals() { return this.app.session.may('operator'); }

  // A node without this part says 501; the others are shown all the same.
  async #part(name, path, query) {
    try {
      return await this.get(path, query);
    } catch (error) {
      if (error.status !== 501 && error.status !== 403) throw error;
      this.missing[name] = true;
      return null;
    }
  }

  #load() {
    return this.attempt(async () => {
      const [roads, stats, sent, received, logs] = await Promise.all([
        this.#part('roads', '/api/communication/links'),
        this.#part('stats', '/api/communication/stats'),
        this.#part('sent', '/api/transfers', {limit: kPage}),
        this.#part('received', '/api/file_transfers', {limit: kPage}),
        this.#maySeeRefusals ? this.#part('logs', '/api/communication/logs', {success: 'false', limit: kLogs}) : null]);
      Object.assign(this, {roads, protocols: stats?.protocols ?? null, logs: logs?.logs ?? null});
      this.#first('sent', sent?.transfers, sent?.next_cursor);
      this.#first('received', received?.files, received?.next_cursor);
    });
  }

  // The first page anew; pages after it stay as they were read.
  #first(name, files, cursor) {
    if (!files) return;
    const list = this[name];
    if (!list.files || list.files.length <= kPage) return Object.assign(list, {files, cursor});
    list.files.splice(0, files.length, ...files);
  }

  #more(name, path, member) {
    const list = this[name];
    return this.attempt(async () => {
      const page = await this.get(path, {limit: kPage, cursor: list.cursor});
      Object.assign(list, {files: [...list.files, ...page[member]], cursor: page.next_cursor});
    });
  }

  #backlog() {
    const b = this.roads?.backlog;
    if (!b) return nothing;
    return html`<dl class="figures"><div><dt>${t('communication.waiting')}</dt><dd>${number(b.messages)}</dd></div>
      <div><dt>${t('communication.waiting_bytes')}</dt><dd>${bytes(b.bytes)}</dd></div>
      <div><dt>${t('communication.oldest')}</dt><dd>${b.messages ? duration(b.oldest_s) : '–'}</dd></div></dl>`;
  }

  #roads() {
    const links = this.roads?.links;
    if (!links?.length) return empty(t('communication.no_roads'), t('communication.no_roads_what'));
    return table(t('communication.roads'), [
      {title: t('communication.road'), cell: (l) => html`<strong>${l.link}</strong> <span class="text-body-secondary">${l.plugin}</span>`},
      {title: t('field.status'), cell: (l) => status(roadState(l))},
      {title: t('communication.share'), cell: (l) => html`<div class="share-cell">${bar(l.share, `${l.link} ${percent(l.share)}`)}<span>${percent(l.share)}</span></div>`},
      {title: t('communication.confirmed'), kind: 'numeric', cell: (l) => number(l.confirmed)},
      {title: t('communication.success'), kind: 'numeric', cell: (l) => percent(l.success_rate, 1)},
      {title: 'p50', kind: 'numeric', cell: (l) => milliseconds(l.latency_ms?.p50)},
      {title: 'p90', kind: 'numeric', cell: (l) => milliseconds(l.latency_ms?.p90)},
      {title: 'p99', kind: 'numeric', cell: (l) => milliseconds(l.latency_ms?.p99)},
      {title: t('communication.quality'), kind: 'numeric', cell: (l) => number(l.quality, 2)},
    ], links);
  }

  #switches() {
    const switches = this.roads?.switches;
    if (!switches?.length) return html`<p class="text-body-secondary">${t('communication.no_switches')}</p>`;
    return table(t('communication.switches'), [
      {title: t('field.time'), cell: (s) => dateTime(s.at)},
      {title: t('communication.road'), cell: (s) => html`${s.from || '–'} → <strong>${s.to || '–'}</strong>`},
      {title: t('field.reason'), cell: (s) => html`${t(`switch.${s.reason}`)}${s.why ? html`<div class="small text-body-secondary">${s.why}</div>` : nothing}`},
    ], switches);
  }

  #protocols() {
    const rows = Object.entries(this.protocols ?? {});
    if (!rows.length) return html`<p class="text-body-secondary">${t('communication.nothing_yet')}</p>`;
    return table(t('communication.listeners'), [
      {title: t('field.protocol'), cell: ([name]) => html`<strong>${name}</strong>`},
      {title: t('communication.requests'), kind: 'numeric', cell: ([, p]) => number(p.total_attempts)},
      {title: t('communication.success'), kind: 'numeric', cell: ([, p]) => percent(p.success_rate, 1)},
      {title: 'p50', kind: 'numeric', cell: ([, p]) => milliseconds(p.p50)},
      {title: 'p99', kind: 'numeric', cell: ([, p]) => milliseconds(p.p99)},
      {title: t('field.size'), kind: 'numeric', cell: ([, p]) => bytes(p.bytes)},
    ], rows);
  }

  #sent() {
    const {files, cursor} = this.sent;
    if (!files?.length) return html`<p class="text-body-secondary">${t('communication.no_files')}</p>`;
    const share = (f) => (f.size ? f.sent / f.size : 0);
    return html`${table(t('communication.sent'), [
      {title: t('field.file'), cell: (f) => html`<span class="file-name">${f.name}</span>`},
      {title: t('field.status'), cell: (f) => status(f.status)},
      {title: t('communication.progress'), cell: (f) => html`<div class="share-cell">${bar(share(f), `${f.name} ${percent(share(f))}`)}<span>${percent(share(f))}</span></div>`},
      {title: t('field.size'), kind: 'numeric', cell: (f) => bytes(f.size)},
      {title: t('communication.road'), cell: (f) => f.road || '–'},
      {title: t('field.time'), cell: (f) => dateTime(f.updated_at)},
    ], files)}${moreButton(cursor, false, () => this.#more('sent', '/api/transfers', 'transfers'))}`;
  }

  #received() {
    const {files, cursor} = this.received;
    if (!files?.length) return html`<p class="text-body-secondary">${t('communication.no_files')}</p>`;
    return html`${table(t('communication.received'), [
      {title: t('field.file'), cell: (f) => html`<span class="file-name">${f.name}</span>${f.detail ? html`<div class="small">${f.detail}</div>` : nothing}`},
      {title: t('field.device'), cell: (f) => f.edge_device_id},
      {title: t('field.status'), cell: (f) => status(f.status)},
      {title: t('field.size'), kind: 'numeric', cell: (f) => bytes(f.size)},
      {title: t('field.time'), cell: (f) => dateTime(f.announced_at)},
    ], files)}${moreButton(cursor, false, () => this.#more('received', '/api/file_transfers', 'files'))}`;
  }

  #logs() {
    if (!this.logs?.length) return html`<p class="text-body-secondary">${t('communication.no_refusals')}</p>`;
    return table(t('communication.refusals'), [
      {title: t('field.time'), cell: (l) => dateTime(l.created_at)},
      {title: t('field.protocol'), cell: (l) => l.protocol},
      {title: t('communication.source'), cell: (l) => l.source},
      {title: t('field.reason'), cell: (l) => l.error_message},
    ], this.logs);
  }

  #section(title, content) {
    return html`<section class="panel"><h2>${title}</h2>${content}</section>`;
  }

  render() {
    const loading = this.protocols === null && !this.error && !this.missing.stats;
    return html`${heading(t('nav.communication'))}${problem(this.error, () => this.#load())}${loading ? skeleton(8) : html`${this.#backlog()}
      ${this.#section(t('communication.roads'), this.#roads())}
      ${this.roads?.links?.length ? this.#section(t('communication.switches'), this.#switches()) : nothing}
      ${this.#section(t('communication.listeners'), this.#protocols())}
      ${this.missing.sent ? nothing : this.#section(t('communication.sent'), this.#sent())}
      ${this.missing.received ? nothing : this.#section(t('communication.received'), this.#received())}
      ${this.#maySeeRefusals ? this.#section(t('communication.refusals'), this.#logs()) : nothing}`}`;
  }
}
