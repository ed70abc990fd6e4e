// Plates that are looked for.
import {html, nothing} from 'lit-html';
import {ref} from 'lit-html/directives/ref.js';

import {post, remove} from '../api.js';
import {dateTime, number} from '../format.js';
import {empty, heading, moreButton, plate, problem, skeleton, table} from '../parts.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kPage = 100;

export class Blacklist extends View {
  rows = null;
  total = 0;
  cursor = null;
  busy = false;
  leaving = null;
  dialog = null;

  start() { this.#load(); }

  async #load(cursor = null) {
    this.busy = true;
    await this.attempt(async () => {
      const page = await this.get('/api/blacklist', {limit: kPage, cursor});
      this.rows = cursor ? [...this.rows, ...page.blacklist] : page.blacklist;
      this.cursor = page.next_cursor;
      this.total = page.total_count ?? this.rows.length;
    });
    this.busy = false;
    this.app.redraw();
  }

  async #add(event) {
    event.preventDefault();
    const form = event.target;
    const {license_plate: text, reason} = Object.fromEntries(new FormData(form));
    const went = await this.attempt(() => post('/api/blacklist', {license_plate: text.trim(), reason: reason.trim()}));
    if (!went) return;
    form.reset();
    form.elements.license_plate.focus();
    await this.#load();
  }

  #ask(row) {
    this.leaving = row;
    this.dialog.showModal();
    this.app.redraw();
  }

  async #remove() {
    this.dialog.close();
    const went = await this.attempt(() => remove(`/api/blacklist/${encodeURIComponent(this.leaving.license_plate)}`));
    if (went) await this.#load();
  }

  #form() {
    if (!this.app.session.may('operator')) return nothing;
    return html`<form class="row-form panel" @submit=${(event) => this.#add(event)}>
      <div><label class="form-label" for="license_plate">${t('field.plate')}</label>
        <input class="form-control" id="license_plate" name="license_plate" required maxlength="64" autocomplete="off" spellcheck="false"></div>
      <div class="grow"><label class="form-label" for="reason">${t('field.reason')}</label>
        <input class="form-control" id="reason" name="reason" maxlength="500"></div>
      <button class="btn btn-primary">${t('blacklist.add')}</button></form>`;
  }

  #dialog() {
    return html`<dialog class="panel" aria-labelledby="leave-title" ${ref((element) => { this.dialog = element; })}>
      <h2 id="leave-title">${t('blacklist.remove')}</h2><p>${plate(this.leaving?.license_plate)}</p>
      <div class="buttons"><button class="btn btn-danger" @click=${() => this.#remove()}>${t('blacklist.remove')}</button>
      <button class="btn btn-outline-secondary" @click=${() => this.dialog.close()}>${t('action.cancel')}</button></div></dialog>`;
  }

  #columns() {
    const columns = [
      {title: t('field.plate'), cell: (r) => plate(r.license_plate)},
      {title: t('field.reason'), cell: (r) => r.reason},
      {title: t('field.since'), cell: (r) => dateTime(r.created_at)},
      {title: t('blacklist.sightings'), cell: (r) => html`<a href="#/search?plate=${encodeURIComponent(r.license_plate)}">${t('nav.search')}<span
        class="visually-hidden"> ${r.license_plate}</span></a>`},
    ];
    if (this.app.session.may('operator')) columns.push({title: t('field.action'), kind: 'numeric', cell: (r) => html`<button class="btn btn-sm btn-outline-danger"
      aria-label="${t('blacklist.remove')} ${r.license_plate}" @click=${() => this.#ask(r)}>${t('blacklist.remove')}</button>`});
    return columns;
  }

  #content() {
    if (this.rows === null) return this.error ? nothing : skeleton(5);
    if (!this.rows.length) return empty(t('blacklist.empty'), t('blacklist.empty_what'));
    return html`<section class="panel">${table(t('nav.blacklist'), this.#columns(), this.rows)}${
      moreButton(this.cursor, this.busy, () => this.#load(this.cursor))}</section>`;
  }

  render() {
    const count = this.rows ? html`<span class="text-body-secondary" role="status">${t('blacklist.count', {n: number(this.total)})}</span>` : nothing;
    return html`${heading(t('nav.blacklist'), count)}${this.#form()}${problem(this.error, () => this.#load())}${this.#content()}${this.#dialog()}`;
  }
}
