// Who looks at the page, and what that person may do.
import {ApiError, get, post} from './api.js';

const kRanks = ['viewer', 'operator', 'admin'];

export class Session {
  // null until the node has said it.
  who = null;

  async refresh() {
    this.who = await get('/api/whoami');
    return this.who;
  }

  async logIn(user, password) {
    await post('/api/login', {user, password});
    return this.refresh();
  }

  async logOut() {
    try {
      await post('/api/logout');
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
    }
    return this.refresh();
  }

  get asked() {
    return this.who?.auth === 'required';
  }

  get mustLogIn() {
    return this.asked && !kRanks.includes(this.who.role);
  }

  // A node where nobody is asked takes no new configuration from a browser.
  get mayConfigure() {
    return this.asked && this.may('admin');
  }

  // Whether the role is enough; where nobody is asked, everybody may everything.
  may(role) {
    if (!this.who) return false;
    return !this.asked || kRanks.indexOf(this.who.role) >= kRanks.indexOf(role);
  }
}
