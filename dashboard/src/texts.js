// The page's own words, in the language that was chosen.
import en from '../texts/en.json';
import th from '../texts/th.json';

const kKey = 'viaduct.language';
const kTexts = {en, th};
export const kLanguages = {en: 'English', th: 'ไทย'};

function preferred() {
  const kept = localStorage.getItem(kKey);
  if (kept in kTexts) return kept;
  return navigator.language.startsWith('th') ? 'th' : 'en';
}

let current = preferred();
document.documentElement.lang = current;

export const language = () => current;

export function setLanguage(name) {
  current = name in kTexts ? name : 'en';
  localStorage.setItem(kKey, current);
  document.documentElement.lang = current;
}

// The text of a key; {name} in it is replaced by values.name. A key that nobody has written, such
// as a status that a newer node has, is shown as its last part.
export function t(key, values = {}) {
  const text = kTexts[current][key] ?? key.slice(key.lastIndexOf('.') + 1).replaceAll('_', ' ');
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
