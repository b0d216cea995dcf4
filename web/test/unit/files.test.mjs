import assert from 'node:assert/strict';
import test from 'node:test';
import { fetchFiles, filesOf } from '../../dist/files.js';
import { fetchAny } from '../../dist/node.js';

/** A file as a browser finds it in a folder. */
function file(path, text = path) {
  const f = new File([text], path.split('/').at(-1));
  Object.defineProperty(f, 'webkitRelativePath', { value: path.includes('/') ? path : '' });
  return f;
}

test('the bundle among files is the one that is least deep', () => {
  const all = [
    'models/a/old/manifest.json',
    'models/a/manifest.json',
    'models/a/model.wgpu',
    'models/a/old/model.wgpu',
  ];
  const found = filesOf(all.map((p) => file(p)));
  assert.equal(found.manifestUrl, 'folder:/a/manifest.json');
  assert.deepEqual(
    found.files.map((f) => f.webkitRelativePath),
    ['models/a/manifest.json', 'models/a/model.wgpu'],
  );
  assert.equal(filesOf([file('manifest.json'), file('model.wgpu')]).files.length, 2);
  for (const none of ['/models/m', new URL('https://x.y'), undefined, null, 1]) assert.equal(filesOf(none), undefined);
});

test('files that are no bundle, or several, are refused', () => {
  assert.throws(() => filesOf([file('m/model.safetensors')]), { code: 'not-found', message: /llama-webgpu quantize/ });
  assert.throws(() => filesOf([]), { code: 'not-found' });
  assert.throws(() => filesOf(['a/manifest.json', 'b/manifest.json'].map((p) => file(p))), {
    code: 'invalid-argument',
    message: /one of a, b/,
  });
  assert.throws(() => filesOf(['manifest.json']), { code: 'invalid-argument', message: /File objects/ });
});

test('files answer as a server with ranges does', async () => {
  const get = fetchFiles([file('m/model.wgpu', '0123456789')]);
  const url = 'folder:/m/model.wgpu';
  assert.equal(await (await get(url, {})).text(), '0123456789');
  const part = await get(url, { headers: { Range: 'bytes=4-20' } });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get('Content-Range'), 'bytes 4-9/10');
  assert.equal(await part.text(), '456789');
  assert.equal((await get('folder:/m/vocab.json', {})).status, 404);
});

test('in Node, a path without a file is named, and what a bundle is', async () => {
  const missing = {
    code: 'not-found',
    message: /^\/nowhere\/manifest\.json: there is no such file.*llama-webgpu quantize/,
  };
  await assert.rejects(fetchAny('file:///nowhere/manifest.json', {}), missing);
});
