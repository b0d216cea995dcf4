// How long servers may be silent. The limits leave a busy machine seconds to go on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Line } from '../../dist/exchange.js';
import { blockBytes, fetchSmall } from '../../dist/wire.js';
import { data, options, range, read, same, serve } from './servers.mjs';

for (const [what, cut] of [
  ['in the middle of a block', 1 << 20],
  ['before the first byte', 0],
]) {
  test(`silence ${what}: requested again from where it was`, async () => {
    const { url, requests } = await serve((q, r, n) => range(q, r, n === 1 ? { cut } : {}));
    let received = 0;
    same(
      await read(url, {
        line: new Line(2000),
        received: (n) => {
          received += n;
        },
      }),
    );
    assert.equal(received, data.length, 'bytes were fetched twice');
    assert.equal(requests.at(-1).range, `bytes=${cut}-${blockBytes - 1}`);
  });
}

test('silence before the headers, and of a small file', async () => {
  const { url, requests } = await serve((_, r, n) => n > 1 && r.end('{}'));
  assert.equal(new TextDecoder().decode(await fetchSmall(url, options({ line: new Line(2000) }))), '{}');
  assert.equal(requests.length, 2);
});

test('a server that stays silent', async () => {
  const { url } = await serve(() => {});
  await assert.rejects(fetchSmall(url, options({ line: new Line(500) })), {
    code: 'network',
    message: /has sent nothing for 0\.5 s/,
  });
});

test('slow is not silent', async () => {
  const { url, requests } = await serve(async (_, r) => {
    r.writeHead(200);
    for (let i = 0; i < 8; i++) {
      r.write(' ');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    r.end('{}');
  });
  assert.equal((await fetchSmall(url, options({ line: new Line(3000) }))).length, 10);
  assert.equal(requests.length, 1);
});

test('while one response arrives, another may wait', async () => {
  let first;
  const { url, requests } = await serve(async (q, r, n) => {
    if (n > 1) return void first.then(() => range(q, r)); // one after the other
    first = (async () => {
      const part = data.subarray(0, blockBytes);
      r.writeHead(206, {
        'Content-Length': part.length,
        'Content-Range': `bytes 0-${part.length - 1}/${data.length}`,
      });
      for (let i = 0; i < 8; i++) {
        r.write(part.subarray((i * blockBytes) / 8, ((i + 1) * blockBytes) / 8));
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      r.end();
    })();
  });
  same(await read(url, { line: new Line(3000) }));
  assert.equal(requests.length, 3, 'a request was given up while bytes came');
});

test('a server without ranges, silent once', async () => {
  const { url } = await serve((_, r, n) => {
    r.writeHead(200, { 'Content-Length': data.length });
    if (n === 2) r.write(data.subarray(0, 1000));
    else r.end(data);
  });
  same(await read(url, { concurrency: 1, line: new Line(1000) }));
});
