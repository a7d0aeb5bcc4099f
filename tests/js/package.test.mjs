// What would be published: files, version, types.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = fileURLToPath(new URL('../../clients/js/', import.meta.url));
const manifest = JSON.parse(readFileSync(`${folder}package.json`));

test('the types compile where they should, and nowhere else', () => {
  const done = spawnSync(process.execPath, [`${here}node_modules/typescript/bin/tsc`, '-p', `${here}tsconfig.json`], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stdout);
});

test('the package has the modules, their types, and nothing else', () => {
  const [packed] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: folder, encoding: 'utf8' }));
  assert.deepEqual(packed.files.map((file) => file.path).sort(), ['LICENSE', 'README.md', 'package.json', 'topic_requests.js', 'topics.d.ts', 'topics.js', 'wsbeat.d.ts', 'wsbeat.js']);
  assert.equal(packed.name, 'wsbeat');
});

test('it has the version and the licence of the library, and no dependencies', () => {
  const header = readFileSync(new URL('../../include/wsbeat/version.h', import.meta.url), 'utf8');
  assert.equal(manifest.version, ['MAJOR', 'MINOR', 'PATCH'].map((part) => header.match(`WSB_VERSION_${part} (\\d+)`)[1]).join('.'));
  assert.equal(readFileSync(`${folder}LICENSE`, 'utf8'), readFileSync(new URL('../../LICENSE', import.meta.url), 'utf8'));
  assert.equal(manifest.dependencies, undefined);
  assert.doesNotMatch(readFileSync(`${folder}wsbeat.js`, 'utf8'), /^import |\bimport\(|\brequire\(/m);
});

test('the types tell of everything that is exported', async () => {
  const types = readFileSync(`${folder}wsbeat.d.ts`, 'utf8');
  const exported = await import('../../clients/js/wsbeat.js');
  for (const name of Object.keys(exported).filter((one) => one !== 'default')) assert.match(types, new RegExp(`export class ${name}\\b`));
  assert.equal(exported.default, exported.WsBeat);
});
