// What benchmark() has kept, as it is read again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepTuning, keptTuning, setTuningStore } from '../../dist/tuning.js';

const device = { limits: {}, features: new Set() };
const info = { adapter: 'none' };
const good = { kernel: 'matvec', version: '1', class: 'a', best: { ROWS: 2 } };

test('what is damaged is not there, and can be kept anew', async () => {
  let stored;
  setTuningStore({ get: async () => stored, put: async (_, tuned) => (stored = tuned) });
  for (const damaged of [
    undefined,
    null,
    1,
    'text',
    {},
    { length: 3 },
    [null],
    [good, null],
    [[]],
    [{}],
    [{ ...good, best: 7 }],
  ]) {
    stored = damaged;
    assert.deepEqual(await keptTuning(device, info), [], JSON.stringify(damaged));
    assert.equal(await keepTuning(device, info, [good]), undefined);
    assert.deepEqual(await keptTuning(device, info), [good]);
  }
  stored = [{ ...good, best: null }, good];
  assert.deepEqual(await keptTuning(device, info), [good]);
});

test('what cannot be kept says why, and what to do', async () => {
  for (const [thrown, want] of [
    [new DOMException('full', 'QuotaExceededError'), /no room left for this site.*search again/],
    [new DOMException('no', 'SecurityError'), /store nothing.*private.*search again/],
    [new DOMException('A mutation operation was attempted', 'InvalidStateError'), /store nothing.*private/],
    [new Error('EACCES: permission denied, open /x/tuning-npm.json'), /could not be stored: EACCES.*tuning-npm/],
    [new DOMException('', 'UnknownError'), /could not be stored: UnknownError/],
  ]) {
    setTuningStore({ get: async () => undefined, put: () => Promise.reject(thrown) });
    assert.match(await keepTuning(device, info, [good]), want);
  }
});

test('a database that runs out of room when a transaction ends has kept nothing', async () => {
  setTuningStore(undefined);
  const later = (o, event) => {
    setTimeout(() => o[event]());
    return o;
  };
  let full = true;
  const transaction = () => {
    const t = { error: new DOMException('full', 'QuotaExceededError'), objectStore: () => ({ put: done, get: done }) };
    setTimeout(() => setTimeout(() => (full ? t.onabort() : t.oncomplete())));
    return t;
  };
  const done = () => later({ result: undefined }, 'onsuccess');
  globalThis.indexedDB = { open: () => later({ result: { transaction, close() {} } }, 'onsuccess') };
  try {
    assert.match(await keepTuning(device, info, [good]), /no room left/);
    full = false;
    assert.equal(await keepTuning(device, info, [good]), undefined);
  } finally {
    delete globalThis.indexedDB;
  }
});
