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
