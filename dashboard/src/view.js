// What all views have: a life, requests that end with it, and one place for what went wrong.
import {get} from './api.js';

export class View {
  error = null;
  #ending = new AbortController();
  #endings = [];

  // `app`: see main.js. `words` and `query`: what stands in the address after the view's name.
  constructor(app, words, query) {
    this.app = app;
    this.words = words;
    this.query = query;
  }

  // The view is shown: begin to load.
  start() {}
  // Its address changed within the same view. False: make a new one.
  moved() { return false; }
  render() {}
  // The page was drawn: what is no template (charts, what is measured) can be done now.
  drawn() {}

  stop() {
    this.#ending.abort();
    this.#endings.forEach((end) => end());
  }

  get ended() { return this.#ending.signal.aborted; }

  // Calls `end` when the view ends.
  until(end) { this.#endings.push(end); }
  on(event, tell) { this.until(this.app.live.on(event, (body) => { tell(body); this.app.redrawCalmly(); })); }
  every(milliseconds, act) {
    const timer = setInterval(act, milliseconds);
    this.until(() => clearInterval(timer));
  }

  get(path, query) { return get(path, query, this.#ending.signal); }

  // Runs it and draws before and after; keeps what went wrong in `error`. True: it went well.
  async attempt(act) {
    let went = false;
    try {
      this.app.redraw();
      await act();
      this.error = null;
      went = true;
    } catch (error) {
      if (this.ended) return false;
      if (error.status === undefined) console.error(error);
      this.error = error;
    }
    this.app.redraw();
    return went;
  }
}
