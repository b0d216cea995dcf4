import assert from 'node:assert/strict';
import test from 'node:test';
import { toJSON } from '../../page/chat/export.js';
import { read } from '../../page/chat/import.js';
import { add, branch, forked, merge, newConversation, remove, snapshot } from '../../page/chat/tree.js';

const conv = { id: 'c', name: 'Sums', lastModified: 7, currNode: 'a' };
const messages = [
  { id: 'r', type: 'root', role: 'system', content: '', parent: null },
  { id: 'a', type: 'text', role: 'assistant', content: 'Four.', thinking: 'Easy.', parent: 'u', model: 'm' },
  { id: 's', type: 'text', role: 'system', content: 'Be brief.', parent: 'r' },
  {
    id: 'u',
    type: 'text',
    role: 'user',
    content: '2 + 2?',
    parent: 's',
    extra: [
      { type: 'TEXT', name: 'a.txt', content: 'x' },
      { type: 'IMAGE', name: 'b.png', base64Url: 'data:' },
    ],
  },
  {
    id: 'b',
    type: 'text',
    role: 'assistant',
    content: '',
    parent: 'u',
    toolCalls: '[{"id":"1","function":{"name":"f","arguments":"{}"}}]',
  },
  { id: 't', type: 'text', role: 'tool', content: '4', parent: 'b', toolCallId: '1' },
];

test('what llama-server’s web UI exports is read, in its forms', () => {
  const lines = [{ type: 'session', ...conv }, ...messages.map((message) => ({ type: 'message', message }))];
  const [a, b] = [JSON.stringify([{ conv, messages }]), JSON.stringify({ conv, messages }, null, 2)];
  for (const text of [`${lines.map((l) => JSON.stringify(l)).join('\n')}\n`, a, b]) {
    const [c] = read(text);
    assert.deepEqual([c!.title, c!.system, c!.updated], ['Sums', 'Be brief.', 7]);
    assert.deepEqual(
      branch(c!).map((m) => [m.role, m.text, m.reasoning]),
      [
        ['user', '2 + 2?', undefined],
        ['assistant', 'Four.', 'Easy.'],
      ],
    );
    assert.deepEqual(c!.messages[0]!.attachments, [{ name: 'a.txt', text: 'x' }]);
    assert.deepEqual(
      branch(c!, 't').map((m) => m.calls?.[0]?.name ?? m.call ?? ''),
      ['', 'f', '1'],
    );
  }
});

test('what is no export is refused, and says why', () => {
  assert.throws(() => read('PK\u0003\u0004'), /archive/);
  assert.throws(() => read('{"type":"session"}\nnonsense'), /Line 2/);
  assert.throws(() => read('[]'), /no conversations/);
  assert.throws(() => read('{'), /not JSON/);
  const circle = [
    { id: 'a', role: 'user', content: '', parent: 'b' },
    { id: 'b', role: 'user', content: '', parent: 'a' },
  ];
  assert.throws(() => read(JSON.stringify([{ conv, messages: circle }])), /circle/);
  const c = newConversation();
  c.pinned = true;
  add(c, undefined, { role: 'user', text: 'x' });
  assert.equal(read(toJSON([c]))[0]!.pinned, true);
});

test('two tabs that change a conversation at once lose nothing', () => {
  const base = newConversation();
  const question = add(base, undefined, { role: 'user', text: 'Why?' });
  const answer = add(base, question.id, { role: 'assistant', text: 'So.' });
  const known = new Set([question.id, answer.id]);
  const [mine, theirs] = [structuredClone(base), structuredClone(base)];
  add(mine, answer.id, { role: 'user', text: 'Mine' });
  add(theirs, answer.id, { role: 'user', text: 'Theirs' });
  merge(mine, theirs, known);
  assert.deepEqual(mine.messages.map((m) => m.text).sort(), ['Mine', 'So.', 'Theirs', 'Why?']);
  const [kept, removed] = [structuredClone(base), structuredClone(base)];
  remove(removed, removed.messages[1]!);
  merge(kept, removed, known); // what the other tab removed is gone, and what is shown ends before it
  assert.deepEqual([kept.messages.length, kept.leaf], [1, question.id]);
  const [gone, old] = [structuredClone(base), structuredClone(base)];
  remove(gone, gone.messages[1]!);
  merge(gone, old, known); // what this tab removed does not come back
  assert.equal(gone.messages.length, 1);
  for (const mineRemoves of [true, false]) {
    const [without, more] = [structuredClone(base), structuredClone(base)];
    remove(without, without.messages[1]!);
    add(more, answer.id, { role: 'user', text: 'And?' });
    const [mine, theirs] = mineRemoves ? [without, more] : [more, without];
    merge(mine, theirs, known); // what a new message follows stays, or is back
    assert.deepEqual(
      mine.messages.map((m) => m.text),
      ['Why?', 'So.', 'And?'],
    );
  }
});

test('a part of a conversation is one of its own, and what was removed comes back', () => {
  const c = newConversation('Be brief.');
  const first = add(c, undefined, { role: 'user', text: 'Why?' });
  const answer = add(c, first.id, { role: 'assistant', text: 'So.' });
  const copy = forked(c, first);
  assert.deepEqual(
    [copy.title, copy.system, copy.messages.length, copy.leaf],
    ['Why? (copy)', 'Be brief.', 1, first.id],
  );
  copy.messages[0]!.text = 'changed';
  assert.equal(first.text, 'Why?');
  const back = snapshot(c);
  remove(c, answer);
  add(c, first.id, { role: 'assistant', text: 'Else.' });
  back();
  assert.deepEqual([c.messages.map((m) => m.text), c.leaf], [['Why?', 'So.', 'Else.'], answer.id]);
});
