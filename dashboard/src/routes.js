// The views by the first word of the address after '#/'. `role`: who sees it in the menu.
import {Alerts} from './views/alerts.js';
import {Blacklist} from './views/blacklist.js';
import {Camera} from './views/camera.js';
import {Cameras} from './views/cameras.js';
import {Communication} from './views/communication.js';
import {Config} from './views/config.js';
import {Detection} from './views/detection.js';
import {Search} from './views/search.js';
import {Statistics} from './views/statistics.js';
import {Wall} from './views/wall.js';

export const kRoutes = {
  live: {view: Wall, inMenu: true},
  search: {view: Search, inMenu: true},
  cameras: {view: Cameras, inMenu: true},
  alerts: {view: Alerts, inMenu: true},
  communication: {view: Communication, inMenu: true},
  statistics: {view: Statistics, inMenu: true},
  blacklist: {view: Blacklist, inMenu: true},
  config: {view: Config, inMenu: true, role: 'operator'},
  detection: {view: Detection, menu: 'search'},
  camera: {view: Camera, menu: 'cameras'},
};
export const kFirst = 'live';

// '#/detection/018d?a=1' -> {name, words: ['018d'], query}
export function parseAddress(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [name, ...words] = path.split('/').map((word) => {
    try {
      return decodeURIComponent(word);
    } catch {
      return word;
    }
  });
  return {name: Object.hasOwn(kRoutes, name) ? name : kFirst, words, query: new URLSearchParams(query)};
}
