// The node's configuration: seen and tried by operators, changed by admins.
import {html, nothing} from 'lit-html';
import {ref} from 'lit-html/directives/ref.js';

import {post} from '../api.js';
import {dateTime} from '../format.js';
import {empty, heading, problem, skeleton, status, table} from '../parts.js';
import {t} from '../texts.js';
import {View} from '../view.js';

const kConfirmS = 120;  // Without a confirmation the node goes back by itself.
const kAgainMs = 1500;  // Until a listener that restarts answers again.
const kTries = 10;

export class Config extends View {
  config = null;
  draft = null;
  plan = null;
  mistakes = null;
  busy = false;
  deadline = null;  // Until when the new configuration must be confirmed.
  said = '';
  asking = null;    // {text, act}: what the dialog asks for.
  dialog = null;

  #timer = null;

  start() {
    this.until(() => clearInterval(this.#timer));
    if (this.app.session.may('operator')) this.#load();
  }

  #load() {
    return this.attempt(async () => {
      this.config = await this.get('/api/config');
      this.draft ??= this.config.yaml;
      this.#await(this.config.revisions?.find((r) => r.state === 'unconfirmed')?.confirm_by);
    });
  }

  async #plan() {
    this.busy = true;
    Object.assign(this, {plan: null, mistakes: null, said: ''});
    const went = await this.attempt(async () => { this.plan = await post('/api/config/plan', {yaml: this.draft}); });
    this.busy = false;
    if (!went && this.error?.status === 422) {
      this.mistakes = this.error.body.errors ?? [{message: this.error.message}];
      this.error = null;
    }
    this.app.redraw();
  }

  async #change(act, said) {
    this.busy = true;
    this.said = '';
    let went = await this.attempt(act);
    // A change that restarts the listener ends the connection before the answer.
    if (!went && this.error?.status === 0) went = await this.#reached();
    this.busy = false;
    if (went) {
      this.said = said;
      this.draft = null;
      this.plan = null;
      await this.#load();
    }
    this.app.redraw();
  }

  async #reached() {
    for (let at = 0; at < kTries && !this.ended; at++) {
      await new Promise((resolve) => setTimeout(resolve, kAgainMs));
      if (await this.attempt(() => this.get('/api/whoami'))) return true;
    }
    return false;
  }

  #apply() {
    return this.#change(() => post('/api/config/apply', {yaml: this.draft, confirm_within_s: kConfirmS}), t('config.applied'));
  }

  // Shows how long is left until the node goes back.
  #await(deadline) {
    this.deadline = deadline ? Date.parse(deadline) : null;
    clearInterval(this.#timer);
    if (this.deadline) this.#timer = setInterval(() => this.#tick(), 1000);
  }

  #tick() {
    if (Date.now() > this.deadline) {
      this.#await(null);
      this.said = t('config.went_back');
      this.draft = null;
      this.#load();
    }
    this.app.redraw();
  }

  #confirm() {
    return this.#change(() => post('/api/config/confirm'), t('config.confirmed'));
  }

  #rollback(revision) {
    return this.#change(() => post('/api/config/rollback', {revision}), t('config.rolled_back', {revision}));
  }

  #ask(text, act) {
    this.asking = {text, act};
    this.dialog.showModal();
    this.app.redraw();
  }

  #dialog() {
    const answer = () => { this.dialog.close(); this.asking.act(); };
    return html`<dialog class="panel" aria-labelledby="ask-title" ${ref((element) => { this.dialog = element; })}>
      <h2 id="ask-title">${t('config.sure')}</h2><p>${this.asking?.text}</p>
      <div class="buttons"><button class="btn btn-danger" @click=${answer}>${t('config.yes')}</button>
      <button class="btn btn-outline-secondary" @click=${() => this.dialog.close()}>${t('action.cancel')}</button></div></dialog>`;
  }

  #editor() {
    const input = (event) => { Object.assign(this, {draft: event.target.value, plan: null, mistakes: null}); this.app.redraw(); };
    const admin = this.app.session.mayConfigure;
    const changed = this.draft !== null && this.draft !== this.config.yaml;
    return html`<section class="panel"><label class="h2" for="yaml">${t('config.text')}</label><p class="text-body-secondary">${t('config.secrets')}</p>
      <textarea class="form-control code" id="yaml" spellcheck="false" autocapitalize="none" rows="22" .value=${this.draft ?? this.config.yaml} @input=${input}></textarea>
      <div class="buttons"><button class="btn btn-outline-primary" ?disabled=${this.busy || !changed} @click=${() => this.#plan()}>${t('config.plan')}</button>
      ${admin ? html`<button class="btn btn-danger" ?disabled=${this.busy || !this.plan?.changes?.length} @click=${
        () => this.#ask(t('config.apply_what', {s: kConfirmS}), () => this.#apply())}>${t('config.apply')}</button>` : nothing}
      <button class="btn btn-outline-secondary" ?disabled=${!changed} @click=${() => { Object.assign(this, {draft: this.config.yaml, plan: null, mistakes: null}); this.app.redraw(); }}>${t('config.reset')}</button>
      ${admin ? nothing : html`<span class="text-body-secondary">${t('config.admin_only')}</span>`}</div></section>`;
  }

  #outcome() {
    if (this.mistakes) return html`<section class="panel problem-list" role="alert"><h2>${t('config.mistakes')}</h2><ul>${this.mistakes.map((m) => html`<li>${
      m.line ? html`<strong>${t('config.line', {n: m.line})}</strong> ` : nothing}${typeof m === 'string' ? m : m.message}</li>`)}</ul></section>`;
    if (!this.plan) return nothing;
    if (!this.plan.changes?.length) return html`<section class="panel" role="status"><p>${t('config.no_changes')}</p></section>`;
    return html`<section class="panel" role="status"><h2>${t('config.changes')}</h2>${table(t('config.changes'), [
      {title: t('config.where'), cell: (c) => html`<code>${c.path}</code>`},
      {title: t('config.what'), cell: (c) => c.what},
      {title: t('config.effect'), cell: (c) => t(`effect.${c.effect}`)}], this.plan.changes)}
      ${this.plan.warnings?.length ? html`<ul class="warnings">${this.plan.warnings.map((w) => html`<li>${w.message ?? w}</li>`)}</ul>` : nothing}</section>`;
  }

  #pending() {
    if (!this.deadline) return nothing;
    const left = Math.max(0, Math.ceil((this.deadline - Date.now()) / 1000));
    return html`<div class="alert alert-warning pending" role="alert"><span>${t('config.pending', {s: left})}</span>
      <button class="btn btn-warning" ?disabled=${this.busy} @click=${() => this.#confirm()}>${t('config.confirm')}</button></div>`;
  }

  #revisions() {
    const admin = this.app.session.mayConfigure;
    return html`<section class="panel"><h2>${t('config.revisions')}</h2>${table(t('config.revisions'), [
      {title: t('config.revision'), cell: (r) => r.revision},
      {title: t('field.status'), cell: (r) => status(r.state)},
      {title: t('field.time'), cell: (r) => dateTime(r.applied_at)},
      {title: t('config.by'), cell: (r) => r.by || '–'},
      ...(admin ? [{title: t('field.action'), kind: 'numeric', cell: (r) => (r.revision === this.config.revision ? nothing : html`<button class="btn btn-sm btn-outline-danger" ?disabled=${this.busy}
        @click=${() => this.#ask(t('config.rollback_what', {revision: r.revision}), () => this.#rollback(r.revision))}>${t('config.rollback')}<span class="visually-hidden"> ${r.revision}</span></button>`)}] : []),
    ], this.config.revisions ?? [])}</section>`;
  }

  render() {
    if (!this.app.session.may('operator')) return html`${heading(t('nav.config'))}${empty(t('error.forbidden'), t('config.operator_only'))}`;
    return html`${heading(t('nav.config'))}${problem(this.error, () => this.#load())}${
      this.said ? html`<div class="alert alert-success" role="status">${this.said}</div>` : nothing}${this.#pending()}${
      this.config ? html`${this.#editor()}${this.#outcome()}${this.#revisions()}` : this.error ? nothing : skeleton(8)}${this.#dialog()}`;
  }
}
