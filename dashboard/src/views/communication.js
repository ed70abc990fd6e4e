// The roads of the nodes that send here and of this node, what waits, files on their way, and what
// callers were answered.
import {html, nothing} from 'lit-html';

import {bytes, dateTime, milliseconds, number, percent} from '../format.js';
import {empty, heading, moreButton, problem, skeleton, status, table} from '../parts.js';
import {backlogFigures, fileTable, nodePanel, roadTable, switchReason, switchText} from '../roads.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kRefreshMs = 5000;
const kPage = 20;
const kNodes = 50;
const kLogs = 20;

export class Communication extends View {
  roads = null;
  protocols = null;
  nodes = {rows: null, cursor: null};
  sent = {rows: null, cursor: null};
  received = {rows: null, cursor: null};
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
      const [roads, nodes, stats, sent, received, logs] = await Promise.all([
        this.#part('roads', '/api/communication/links'),
        this.#part('nodes', '/api/communication/nodes', {limit: kNodes}),
        this.#part('stats', '/api/communication/stats'),
        this.#part('sent', '/api/transfers', {limit: kPage}),
        this.#part('received', '/api/file_transfers', {limit: kPage}),
        this.#maySeeRefusals ? this.#part('logs', '/api/communication/logs', {success: 'false', limit: kLogs}) : null]);
      Object.assign(this, {roads, protocols: stats?.protocols ?? null, logs: logs?.logs ?? null});
      this.#first('nodes', kNodes, nodes?.nodes, nodes?.next_cursor);
      this.#first('sent', kPage, sent?.transfers, sent?.next_cursor);
      this.#first('received', kPage, received?.files, received?.next_cursor);
    });
  }

  // The first page anew; pages after it stay as they were read.
  #first(name, limit, rows, cursor) {
    if (!rows) return;
    const list = this[name];
    if (!list.rows || list.rows.length <= limit) return Object.assign(list, {rows, cursor});
    list.rows.splice(0, rows.length, ...rows);
  }

  #more(name, limit, path, member) {
    const list = this[name];
    return this.attempt(async () => {
      const page = await this.get(path, {limit, cursor: list.cursor});
      Object.assign(list, {rows: [...list.rows, ...page[member]], cursor: page.next_cursor});
    });
  }

  #nodes() {
    const {rows, cursor} = this.nodes;
    if (!rows?.length) return this.#section(t('communication.nodes'), html`<p class="text-body-secondary">${t('communication.no_nodes')}</p>`);
    return html`<h2 class="group">${t('communication.nodes')}</h2>${rows.map(nodePanel)}${
      moreButton(cursor, false, () => this.#more('nodes', kNodes, '/api/communication/nodes', 'nodes'))}`;
  }

  #roads() {
    const links = this.roads?.links;
    if (!links?.length) return empty(t('communication.no_roads'), t('communication.no_roads_what'));
    return html`${backlogFigures(this.roads.backlog)}${roadTable(t('communication.roads'), links, false)}`;
  }

  #switches() {
    const switches = this.roads?.switches;
    if (!switches?.length) return html`<p class="text-body-secondary">${t('communication.no_switches')}</p>`;
    return table(t('communication.switches'), [
      {title: t('field.time'), cell: (s) => dateTime(s.at)},
      {title: t('communication.road'), cell: switchText},
      {title: t('field.reason'), cell: switchReason},
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
    const {rows: files, cursor} = this.sent;
    if (!files?.length) return html`<p class="text-body-secondary">${t('communication.no_files')}</p>`;
    return html`${fileTable(t('communication.sent'), files)}${moreButton(cursor, false, () => this.#more('sent', kPage, '/api/transfers', 'transfers'))}`;
  }

  #received() {
    const {rows: files, cursor} = this.received;
    if (!files?.length) return html`<p class="text-body-secondary">${t('communication.no_files')}</p>`;
    return html`${table(t('communication.received'), [
      {title: t('field.file'), cell: (f) => html`<span class="file-name">${f.name}</span>${f.detail ? html`<div class="small">${f.detail}</div>` : nothing}`},
      {title: t('field.device'), cell: (f) => f.edge_device_id},
      {title: t('field.status'), cell: (f) => status(f.status)},
      {title: t('field.size'), kind: 'numeric', cell: (f) => bytes(f.size)},
      {title: t('field.time'), cell: (f) => dateTime(f.announced_at)},
    ], files)}${moreButton(cursor, false, () => this.#more('received', kPage, '/api/file_transfers', 'files'))}`;
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
    return html`${heading(t('nav.communication'))}${problem(this.error, () => this.#load())}${loading ? skeleton(8) : html`${this.missing.nodes ? nothing : this.#nodes()}
      ${this.#section(t('communication.roads'), this.#roads())}
      ${this.roads?.links?.length ? this.#section(t('communication.switches'), this.#switches()) : nothing}
      ${this.#section(t('communication.listeners'), this.#protocols())}
      ${this.missing.sent ? nothing : this.#section(t('communication.sent'), this.#sent())}
      ${this.missing.received ? nothing : this.#section(t('communication.received'), this.#received())}
      ${this.#maySeeRefusals ? this.#section(t('communication.refusals'), this.#logs()) : nothing}`}`;
  }
}
