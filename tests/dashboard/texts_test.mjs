// The page's words: every language has the same, each is used, and each that is used is there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const kPage = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../dashboard');
const read = (name) => JSON.parse(fs.readFileSync(path.join(kPage, 'texts', name), 'utf8'));
const source = fs.readdirSync(path.join(kPage, 'src'), {recursive: true}).filter((name) => name.endsWith('.js'))
    .map((name) => fs.readFileSync(path.join(kPage, 'src', name), 'utf8')).join('\n');
const [en, ...others] = fs.readdirSync(path.join(kPage, 'texts')).sort().map((name) => ({name, texts: read(name)}));
const holes = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

for (const {name, texts} of others) {
  assert.deepEqual(Object.keys(texts).sort(), Object.keys(en.texts).sort(), name);
  for (const [key, text] of Object.entries(texts)) {
    assert.ok(text.trim(), `${name}: ${key} is empty`);
    assert.deepEqual(holes(text), holes(en.texts[key]), `${name}: ${key}`);
  }
}
// A key may be made of a prefix and a name: t(`status.${name}`).
const prefixes = new Set([...source.matchAll(/`([a-z_]+\.(?:[a-z_]+_)?)\$\{/g)].map((match) => match[1]));
const literal = new Set([...source.matchAll(/'([a-z_]+\.[a-z_]+)'/g)].map((match) => match[1]));
const unused = Object.keys(en.texts).filter((key) => !literal.has(key) && ![...prefixes].some((prefix) => key.startsWith(prefix)));
assert.deepEqual(unused, [], 'texts that nothing shows');
const groups = new Set(Object.keys(en.texts).map((key) => key.split('.')[0]));
const missing = [...literal].filter((key) => groups.has(key.split('.')[0]) && !(key in en.texts));
assert.deepEqual(missing, [], 'texts that nobody has written');
console.log(`texts: ${Object.keys(en.texts).length} in ${others.length + 1} languages`);
