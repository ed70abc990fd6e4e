// The live connection: events of the room "dashboard", and whether they come.
import {io} from 'socket.io-client';

import {get} from './api.js';

const kPollMs = 2000;
const kGreetMs = 10000;  // For the node to take this page into the room.
const kAgainMs = 1000;
const kDeniedMs = 5000;
const kRefusedBeforePolling = 2;

// `state`: 'connecting', 'live', 'polling' (this port has no live events, so the node is asked now
// and then) or 'lost'.
export class Live {
  state = 'connecting';
  since = Date.now();
  #listeners = new Map();
  #socket = null;
  #poll = null;
  #refused = 0;

  // Calls tell(body) for each event of that name; this object's own are 'state', 'resume' (events may
  // have been missed, fetch what matters) and 'unknown' (the node does not know who this is any more).
  // Returns what ends it.
  on(event, tell) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event).add(tell);
    return () => this.#listeners.get(event).delete(tell);
  }

  start() {
    if (this.#socket) return;
    this.#refused = 0;
    this.#socket = io({
      path: '/socket.io/', transports: ['websocket', 'polling'], tryAllTransports: true,
      reconnectionDelay: 500, reconnectionDelayMax: 5000, timeout: 10000,
    });
    this.#socket.on('connect', () => this.#greet());
    this.#socket.on('disconnect', (reason) => this.#onDisconnect(reason));
    this.#socket.on('connect_error', () => this.#onRefused());
    this.#socket.onAny((event, body) => this.#tell(event, body));
  }

  stop() {
    this.#socket?.close();
    this.#socket = null;
    this.#stopPolling();
    this.state = 'connecting';
  }

  // After a node's own good-bye (it restarts, or the session has ended) the client does not try again.
  async #onDisconnect(reason) {
    this.#become('lost');
    const socket = this.#socket;
    if (reason === 'io server disconnect') setTimeout(() => { if (socket === this.#socket) socket.connect(); }, kAgainMs);
    await this.#asksWho(socket);
  }

  // Null: the node cannot be reached, or this connection is past.
  async #asksWho(socket) {
    const who = await get('/api/whoami').catch(() => null);
    if (!who || !socket || socket !== this.#socket || socket.connected) return null;
    if (who.auth === 'required' && !who.role) this.#tell('unknown');
    return who;
  }

  // Events count from the moment when the node has answered, not from the connection.
  #greet() {
    const socket = this.#socket;
    const limit = setTimeout(() => socket.disconnect().connect(), kGreetMs);
    socket.once('disconnect', () => clearTimeout(limit));
    socket.once('status', () => {
      clearTimeout(limit);
      this.#refused = 0;
      this.#stopPolling();
      this.#become('live');
      this.#tell('resume');
    });
    socket.emit('join_dashboard', {});
  }

  async #onRefused() {
    this.#refused++;
    const socket = this.#socket;
    const who = await this.#asksWho(socket);
    if (!socket || socket !== this.#socket || socket.connected) return;
    // Where the node itself has said no, the client does not try again.
    if (!socket.active) setTimeout(() => { if (socket === this.#socket) socket.connect(); }, kDeniedMs);
    const reached = who !== null;
    if (!reached || this.#refused < kRefusedBeforePolling) return this.#become(
        reached && this.state === 'connecting' ? 'connecting' : 'lost');
    this.#socket.io.reconnectionDelay(30000);
    this.#socket.io.reconnectionDelayMax(60000);
    this.#become('polling');
    this.#poll ??= setInterval(() => this.#tell('resume'), kPollMs);
  }

  #stopPolling() {
    clearInterval(this.#poll);
    this.#poll = null;
    this.#socket?.io.reconnectionDelay(500);
    this.#socket?.io.reconnectionDelayMax(5000);
  }

  #become(state) {
    if (state !== 'polling' && state !== 'live') this.#stopPolling();
    if (state === this.state) return;
    this.state = state;
    this.since = Date.now();
    this.#tell('state', state);
  }

  #tell(event, body) {
    this.#listeners.get(event)?.forEach((tell) => tell(body ?? {}));
  }
}
