// Name and password.
import {html} from 'lit-html';

import {problem} from '../parts.js';
import {t} from '../texts.js';
import {View} from '../view.js';

export class Login extends View {
  busy = false;

  async #submit(event) {
    event.preventDefault();
    const {user, password} = event.target.elements;
    this.busy = true;
    const went = await this.attempt(() => this.app.logIn(user.value.trim(), password.value));
    this.busy = false;
    if (!went) password.value = '';
    this.app.redraw();
    if (!went) password.focus();
  }

  #problem() {
    if (this.error?.status !== 401) return problem(this.error);
    return html`<div class="alert alert-danger" role="alert">${t('login.wrong')}</div>`;
  }

  render() {
    return html`<form class="login panel" @submit=${(event) => this.#submit(event)}>
      <h1 id="view-title" tabindex="-1">${t('login.title')}</h1>
      <p class="text-body-secondary">${t('login.text', {node: this.app.session.who.node_id})}</p>
      ${this.#problem()}
      <label class="form-label" for="user">${t('login.user')}</label>
      <input class="form-control mb-3" id="user" name="user" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="256">
      <label class="form-label" for="password">${t('login.password')}</label>
      <input class="form-control mb-4" id="password" name="password" type="password" autocomplete="current-password" required maxlength="1024">
      <button class="btn btn-primary w-100" ?disabled=${this.busy}>${t(this.busy ? 'state.loading' : 'login.in')}</button>
    </form>`;
  }
}
