// Bundles the page: node build.mjs MODULES OUT
//   MODULES  the node_modules with esbuild and what the page imports
//   OUT      the folder to fill: index.html, scripts and styles with a digest in their names, and
//            beside each that packs well the same as X.gz
// A folder of an earlier build is replaced.
import crypto from 'node:crypto';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import zlib from 'node:zlib';

const kHere = path.dirname(fileURLToPath(import.meta.url));
const kPrefix = '/dashboard/';  // Where the node serves the folder.
const kPacked = /\.(js|css|html|json|svg)$/;

async function bundle(modules, out) {
  const esbuild = createRequire(path.join(modules, 'from.cjs'))('esbuild');
  const result = await esbuild.build({
    absWorkingDir: kHere,
    entryPoints: {main: 'src/main.js', style: 'styles/main.css'},
    outdir: out,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['chrome116', 'firefox124', 'safari17.4'],
    minify: true,
    metafile: true,
    legalComments: 'eof',
    nodePaths: [modules],
    define: {'process.env.NODE_ENV': '"production"'},
    logLevel: 'warning',
  });
  const names = {};
  for (const [file, {entryPoint}] of Object.entries(result.metafile.outputs)) {
    if (entryPoint) names[entryPoint] = kPrefix + path.basename(file);
  }
  return names;
}

function copyWithDigest(source, out) {
  const body = fs.readFileSync(source);
  const digest = crypto.createHash('sha256').update(body).digest('hex').slice(0, 8);
  const {name, ext} = path.parse(source);
  fs.writeFileSync(path.join(out, `${name}-${digest}${ext}`), body);
  return `${kPrefix}${name}-${digest}${ext}`;
}

function pack(out) {
  for (const name of fs.readdirSync(out)) {
    if (!kPacked.test(name)) continue;
    const file = path.join(out, name);
    fs.writeFileSync(`${file}.gz`, zlib.gzipSync(fs.readFileSync(file), {level: 9}));
  }
}

async function main() {
  const [modules, out] = process.argv.slice(2).map((name) => path.resolve(name));
  fs.rmSync(out, {recursive: true, force: true});
  fs.mkdirSync(out, {recursive: true});
  const names = await bundle(modules, out);
  const page = fs.readFileSync(path.join(kHere, 'index.html'), 'utf8')
      .replaceAll('{{script}}', names['src/main.js'])
      .replaceAll('{{style}}', names['styles/main.css'])
      .replaceAll('{{icon}}', copyWithDigest(path.join(kHere, 'icon.svg'), out));
  fs.writeFileSync(path.join(out, 'index.html'), page);
  pack(out);
}

await main();
