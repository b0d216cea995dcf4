// The bounds on the work of a chat template.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { render } from '../../dist/template.js';

const endless = {
  'nested loops':
    '{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}',
  'a text that doubles':
    "{% set ns = namespace(t='abc') %}{% for i in range(99999) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
  'a list that doubles':
    '{% set ns = namespace(l=[1, 2]) %}{% for i in range(99999) %}{% set ns.l = ns.l + ns.l %}{% endfor %}',
  'a search in a list': '{% set l = range(99999) %}{% for i in range(99999) %}{% if -1 in l %}x{% endif %}{% endfor %}',
  'a text written again and again':
    "{% set t = messages[0].content %}{% for i in range(99999) %}{{ t | replace('a', t) | length }}{% endfor %}",
  'macros that call each other': '{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}',
};

for (const [name, template] of Object.entries(endless))
  test(name, () => {
    const begun = performance.now();
    assert.throws(
      () => render(template, { messages: [{ role: 'user', content: 'a'.repeat(500) }] }),
      /too many steps|not a function/, // a stack that overflows is no function to the library
    );
    assert.ok(performance.now() - begun < 30_000, 'it took half a minute');
  });

test('range returns no more than a hundred thousand numbers', () => {
  for (const range of ['range(0, 1000000000)', 'range(1000000000, 0, -1)', 'range(0, 1000000, 1 - 0.99)'])
    assert.throws(() => render(`{{ ${range} | length }}`, {}), /range\(\)|range/);
  assert.equal(render('{{ range(100000) | length }} {{ range(5, 0, -2) | join }}', {}), '100000 531');
});

test('a template that is too long', () => {
  assert.throws(() => render('x'.repeat(300_000), {}), /the limit is 262144/);
});

test('long conversations are within the bounds', () => {
  const messages = Array.from({ length: 2000 }, (_, i) => ({
    role: i % 2 ? 'assistant' : 'user',
    content: 'word '.repeat(200),
  }));
  const text = render(
    '{% for m in messages %}{% if m.role == messages[loop.index0].role %}<{{ m.role }}>{{ m.content | trim }}{% endif %}{% endfor %}',
    { messages },
  );
  assert.ok(text.length > 2000 * 1000);
});
