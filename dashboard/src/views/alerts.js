// Alerts of the nodes, and who has taken them.
import {html, nothing} from 'lit-html';
import {ref} from 'lit-html/directives/ref.js';

import {post} from '../api.js';
import {ago, dateTime} from '../format.js';
import {empty, heading, problem, skeleton} from '../parts.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kRefreshMs = 30000;

export class Alerts extends View {
  alerts = null;
  taking = null;  // The alert whose acknowledgement is being written.
  dialog = null;

  start() {
    this.on('system_status', (body) => { if (body.alert) this.#load(); });
    this.on('resume', () => this.#load());
    this.every(kRefreshMs, () => this.#load());
    this.#load();
  }

  #load() {
    return this.attempt(async () => { this.alerts = (await this.get('/api/alerts')).alerts; });
  }

  #ask(alert) {
    this.taking = alert;
    this.dialog.returnValue = '';
    this.dialog.showModal();
    this.app.redraw();
  }

  async #acknowledge(event) {
    event.preventDefault();
    const note = new FormData(event.target).get('note').trim();
    const went = await this.attempt(() => post(`/api/alerts/${encodeURIComponent(this.taking.alert_id)}/acknowledge`, {note}));
    event.target.reset();
    this.dialog.close();
    if (went) await this.#load();
    await this.app.countAlerts();
  }

  #dialog() {
    return html`<dialog class="panel" aria-labelledby="take-title" ${ref((element) => { this.dialog = element; })}>
      <form @submit=${(event) => this.#acknowledge(event)}><h2 id="take-title">${t('alerts.acknowledge')}</h2>
      <p>${this.taking?.message}</p><label class="form-label" for="note">${t('alerts.note')}</label>
      <textarea class="form-control mb-3" id="note" name="note" rows="3" maxlength="500"></textarea>
      <div class="buttons"><button class="btn btn-primary">${t('alerts.acknowledge')}</button>
      <button type="button" class="btn btn-outline-secondary" @click=${() => this.dialog.close()}>${t('action.cancel')}</button></div></form></dialog>`;
  }

  #acknowledged(a) {
    if (!a.acknowledged_at) return nothing;
    return html`<div class="small">${t('alerts.taken', {name: a.acknowledged_by ?? '–', time: dateTime(a.acknowledged_at)})}${
      a.note ? html`: <q>${a.note}</q>` : nothing}</div>`;
  }

  #alert(a) {
    const open = !a.cleared_at;
    const severity = ['critical', 'warning', 'info'].includes(a.severity) ? a.severity : 'warning';
    return html`<li class="alert-row ${open ? `alert-${severity}` : 'alert-over'}" data-id=${a.alert_id}>
      <div class="alert-main"><span class="badge-line"><span class="severity">${t(open ? `severity.${severity}` : 'alerts.over')}</span>
        <span class="text-body-secondary">${a.node_id} · ${t(`alert_kind.${a.kind}`)}${a.subject ? ` · ${a.subject}` : ''}</span></span>
        <div class="alert-text">${a.message}</div>
        <div class="small text-body-secondary">${t('alerts.raised', {time: dateTime(a.raised_at), ago: ago(a.raised_at)})}${
          a.cleared_at ? ` · ${t('alerts.cleared', {time: dateTime(a.cleared_at)})}` : ''}</div>${this.#acknowledged(a)}</div>
      ${!a.acknowledged_at && open && this.app.session.may('operator') ? html`<button class="btn btn-outline-primary" @click=${() => this.#ask(a)}>${
        t('alerts.acknowledge')}</button>` : nothing}</li>`;
  }

  #group(title, alerts) {
    return alerts.length ? html`<section><h2 class="group">${title} <span class="text-body-secondary">${alerts.length}</span></h2>
      <ul class="alert-list">${alerts.map((a) => this.#alert(a))}</ul></section>` : nothing;
  }

  #content() {
    if (this.alerts === null) return this.error ? nothing : skeleton(4);
    const open = this.alerts.filter((a) => !a.cleared_at && !a.acknowledged_at);
    const taken = this.alerts.filter((a) => !a.cleared_at && a.acknowledged_at);
    const over = this.alerts.filter((a) => a.cleared_at);
    return html`${open.length ? nothing : empty(t('alerts.none'), t('alerts.none_what'))}${this.#group(t('alerts.open'), open)}${
      this.#group(t('alerts.acknowledged'), taken)}${this.#group(t('alerts.over'), over)}`;
  }

  render() {
    return html`${heading(t('nav.alerts'))}${problem(this.error, () => this.#load())}${this.#content()}${this.#dialog()}`;
  }
}
