// The page: who looks at it, which view is shown, and when it is drawn.
import {render} from 'lit-html';

import {get, watchAnswers} from './api.js';
import {BlacklistAlerts} from './blacklist_alerts.js';
import {Live} from './live.js';
import {kRoutes, parseAddress} from './routes.js';
import {Session} from './session.js';
import {shell} from './shell.js';
import {t} from './texts.js';
import {watchTheme} from './theme.js';
import {Login} from './views/login.js';

const kRetryMs = 2000;
const kHiddenMs = 250;
const kCalmMs = 80;

class App {
  session = new Session();
  live = new Live();
  view = null;
  route = null;
  startError = null;
  openAlerts = null;  // How many are neither cleared nor acknowledged; null: not known.
  notices = new BlacklistAlerts(this);
  menuOpen = false;
  #drawing = false;
  #drawn = 0;
  #calm = null;
  #focusTitle = false;
  #root = document.getElementById('app');

  async start() {
    this.#root.replaceChildren();
    addEventListener('hashchange', () => this.#onAddress());
    addEventListener('keydown', (event) => { if (event.key === 'Escape' && this.menuOpen) this.#closeMenu(); });
    document.addEventListener('visibilitychange', () => this.redraw());
    watchTheme(() => this.redraw());
    watchAnswers((status) => { if (status === 401) this.#onUnknown(); });
    this.live.on('state', () => this.redraw());
    this.live.on('unknown', () => this.#onUnknown());
    this.live.on('system_status', (body) => { if (body.alert) this.countAlerts(); });
    this.live.on('resume', () => { if (this.live.state === 'live') this.countAlerts(); });
    this.redraw();
    await this.#meet();
  }

  // Draws with the next frame, however often it is asked for until then. A hidden page has no frames.
  redraw() {
    if (this.#drawing) return;
    this.#drawing = true;
    const draw = () => { this.#drawing = false; this.#draw(); };
    if (document.hidden) setTimeout(draw, kHiddenMs);
    else requestAnimationFrame(draw);
  }

  // The same for what comes by itself: at fifty events a second a picture of every one of them would
  // take more time than there is.
  redrawCalmly() {
    const wait = this.#drawn + kCalmMs - performance.now();
    if (wait <= 0) this.redraw();
    else this.#calm ??= setTimeout(() => { this.#calm = null; this.redraw(); }, wait);
  }

  go(address) { location.hash = address; }

  async logIn(user, password) {
    await this.session.logIn(user, password);
    this.#enter();
  }

  async logOut() {
    await this.session.logOut();
    this.#enter();
  }

  // Everything is said again, in the other language.
  restart() {
    this.#show();
  }

  #closeMenu() {
    this.menuOpen = false;
    this.redraw();
    document.querySelector('.phone-bar button')?.focus();
  }

  async countAlerts() {
    const {alerts} = await get('/api/alerts').catch(() => ({}));
    this.openAlerts = alerts ? alerts.filter((a) => !a.cleared_at && !a.acknowledged_at).length : null;
    this.redraw();
  }

  async #meet() {
    try {
      await this.session.refresh();
      this.startError = null;
      this.#enter();
    } catch (error) {
      this.startError = error;
      this.redraw();
      setTimeout(() => this.#meet(), kRetryMs);
    }
  }

  #enter() {
    if (this.session.mustLogIn) this.live.stop();
    else this.live.start();
    this.#show();
    if (!this.session.mustLogIn) this.countAlerts();
  }

  // The session has ended: ask who it is, and come back to the same view.
  #onUnknown() {
    if (!this.session.asked || this.session.mustLogIn) return;
    this.session.who.role = null;
    this.#enter();
  }

  #onAddress() {
    this.menuOpen = false;
    const address = parseAddress(location.hash);
    if (this.view && this.route?.name === address.name && this.view.moved?.(address)) {
      this.route = address;
      return this.redraw();
    }
    this.#show();
    this.#focusTitle = true;
  }

  #show() {
    this.view?.stop();
    this.route = parseAddress(location.hash);
    const {words, query} = this.route;
    const kind = this.session.mustLogIn ? Login : kRoutes[this.route.name].view;
    this.view = new kind(this, words, query);
    this.view.start();
    scrollTo(0, 0);
    this.redraw();
  }

  #draw() {
    this.#drawn = performance.now();
    const name = this.session.mustLogIn ? 'login' : kRoutes[this.route?.name]?.menu ?? this.route?.name ?? 'live';
    const count = this.openAlerts ? `(${this.openAlerts}) ` : '';
    document.title = `${count}${t(`nav.${name}`)} · ${this.session.who?.node_id ?? 'Viaduct'}`;
    render(shell(this), this.#root);
    this.view?.drawn();
    if (this.#focusTitle) {
      this.#focusTitle = false;
      document.getElementById('view-title')?.focus({preventScroll: true});
    }
  }
}

await new App().start();
