// What stands around every view: menu, connection, language, theme, who it is.
import {html, nothing} from 'lit-html';

import {clock} from './format.js';
import {icon, problem, skeleton} from './parts.js';
import {kRoutes} from './routes.js';
import {kLanguages, language, setLanguage, t} from './texts.js';
import {nextTheme, theme} from './theme.js';

const kOnPhone = ['live', 'search', 'cameras', 'alerts'];
const kThemeIcons = {auto: 'auto', dark: 'moon', light: 'sun'};

function link(app, name) {
  const here = app.route?.name === name || kRoutes[app.route?.name]?.menu === name;
  const count = name === 'alerts' && app.openAlerts
    ? html`<span class="count">${app.openAlerts}<span class="visually-hidden"> ${t('alerts.open')}</span></span>` : nothing;
  return html`<a class="menu-link" href="#/${name}" aria-current=${here ? 'page' : nothing}>${icon(name)}<span>${
    t(`nav.${name}`)}</span>${count}</a>`;
}

const seenInMenu = (app) => Object.keys(kRoutes).filter(
    (name) => kRoutes[name].inMenu && app.session.may(kRoutes[name].role ?? 'viewer'));

const connection = (app) => html`<span class="connection connection-${app.live.state}" role="status">
  <span class="dot" aria-hidden="true"></span>${t(`connection.${app.live.state}`)}</span>`;

function lost(app) {
  if (app.live.state !== 'lost') return nothing;
  return html`<div class="lost" role="alert"><strong>${t('connection.lost_title')}</strong>
    ${t('connection.lost_text', {time: clock(app.live.since)})}</div>`;
}

function languageChoice(app) {
  const choose = (event) => { setLanguage(event.target.value); app.restart(); };
  return html`<select class="form-select form-select-sm language" aria-label=${t('shell.language')} @change=${choose}>
    ${Object.entries(kLanguages).map(([name, title]) => html`<option value=${name} lang=${name}
      ?selected=${name === language()}>${title}</option>`)}</select>`;
}

const themeButton = (app) => html`<button class="btn btn-sm btn-plain" title=${t(`theme.${theme()}`)}
  aria-label=${t('shell.theme', {theme: t(`theme.${theme()}`)})} @click=${() => { nextTheme(); app.redraw(); }}>${icon(kThemeIcons[theme()])}</button>`;

function person(app) {
  const {who} = app.session;
  if (!app.session.asked || !who?.role) return nothing;
  return html`<span class="person">${icon('person')}<span><span class="person-name">${who.name}</span>
    <span class="role">${t(`role.${who.role}`)}</span></span></span>
    <button class="btn btn-sm btn-outline-secondary" @click=${() => app.logOut()}>${t('login.out')}</button>`;
}

function topBar(app) {
  return html`<header class="top-bar">
    <a class="brand" href="#/live"><span>Viaduct</span> <span class="node">${app.session.who?.node_id ?? ''}</span></a>
    ${app.session.who && !app.session.mustLogIn ? connection(app) : nothing}
    <span class="grow"></span><span class="choices">${languageChoice(app)}${themeButton(app)}<span class="bar-person">${person(app)}</span></span></header>`;
}

function phoneBar(app) {
  const toggle = () => { app.menuOpen = !app.menuOpen; app.redraw(); };
  return html`<nav class="phone-bar" aria-label=${t('shell.menu_short')}>${kOnPhone.map((name) => link(app, name))}
    <button class="menu-link" aria-expanded=${app.menuOpen ? 'true' : 'false'} aria-controls="menu" @click=${toggle}>${
      icon('menu')}<span>${t('shell.more')}</span></button></nav>`;
}

function toContent(event) {
  event.preventDefault();
  const main = document.getElementById('content');
  main.focus();
  main.scrollIntoView();
}

function body(app) {
  if (app.startError) return problem(app.startError);
  if (!app.session.who || !app.view) return skeleton(6);
  return app.view.render();
}

export function shell(app) {
  const inside = app.session.who && !app.session.mustLogIn;
  return html`<a class="skip" href="#content" @click=${toContent}>${t('shell.skip')}</a>
    ${topBar(app)}${inside ? lost(app) : nothing}
    <div class="frame">
      ${inside ? html`<nav id="menu" class="menu ${app.menuOpen ? 'menu-open' : ''}" aria-label=${t('shell.menu')}>${seenInMenu(app).map((name) => link(app, name))}
        <div class="menu-foot"><div class="menu-person">${person(app)}</div>${app.session.who.masked ? html`<p>${t('shell.masked')}</p>` : nothing}
        <p>${t('shell.version', {version: app.session.who.version})}</p></div></nav>` : nothing}
      <main id="content" tabindex="-1">${body(app)}</main>
    </div>
    ${inside ? phoneBar(app) : nothing}${app.notices.render()}`;
}
