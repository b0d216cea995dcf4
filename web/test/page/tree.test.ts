import assert from 'node:assert/strict';
import test from 'node:test';
import { fileName, fromJSON, toJSON, toMarkdown } from '../../page/chat/export.js';
import {
  add,
  branch,
  fenced,
  listed,
  newConversation,
  remove,
  show,
  siblings,
  titleOf,
  written,
} from '../../page/chat/tree.js';
import { turnsOf } from '../../page/chat/turns.js';

function talk() {
  const c = newConversation('Be brief.');
  const question = add(c, undefined, { role: 'user', text: 'Why?' });
  const answer = add(c, question.id, { role: 'assistant', text: 'Because.' });
  return { c, question, answer };
}

const texts = (c: ReturnType<typeof talk>['c']) => branch(c).map((m) => m.text);

test('an edited message is a branch beside the old one', () => {
  const { c, question, answer } = talk();
  add(c, answer.id, { role: 'user', text: 'And?' });
  const other = add(c, undefined, { role: 'user', text: 'How?' });
  assert.deepEqual(texts(c), ['How?']);
  assert.deepEqual(siblings(c, other), [question, other]);
  show(c, question);
  assert.deepEqual(texts(c), ['Why?', 'Because.', 'And?']);
  remove(c, question);
  assert.deepEqual(texts(c), ['How?']);
  assert.equal(c.messages.length, 1);
  remove(c, other);
  assert.deepEqual(texts(c), []);
});

test('pinned conversations are listed first', () => {
  const [a, b, c] = [newConversation(), newConversation(), newConversation()] as const;
  b.pinned = true;
  assert.deepEqual(listed([a, b, c]), [b, a, c]);
});

test('a title is how the first message begins', () => {
  assert.equal(talk().c.title, 'Why?');
  assert.equal(titleOf(`  ${'long '.repeat(30)}\nmore`).length, 60);
  assert.equal(titleOf('', [{ name: 'a.txt', text: '' }]), 'a.txt');
});

test('conversations survive export and import, with new ids', () => {
  const { c, question } = talk();
  add(c, question.id, {
    role: 'assistant',
    text: 'Otherwise.',
    reasoning: 'Hm',
    record: { model: 'm', where: 'gpu', end: 'stop' },
  });
  const [back] = fromJSON(toJSON([c]));
  assert.notEqual(back!.id, c.id);
  const kept = (v: object) => JSON.parse(JSON.stringify(v));
  assert.deepEqual(kept({ ...back, id: c.id }), kept(c));
});

test('an import keeps nothing that the page could trip over', () => {
  const { c } = talk();
  const file = JSON.parse(toJSON([c]));
  const odd = {
    model: 7,
    where: 'moon',
    end: 'never',
    tokens: 'many',
    tokensPerSecond: null,
    promptSeconds: 2,
    more: {},
  };
  Object.assign(file.conversations[0].messages[1], {
    record: odd,
    calls: [null, { name: 1 }],
    attachments: [3],
    created: 'now',
  });
  const [back] = fromJSON(JSON.stringify(file));
  const m = back!.messages[1]!;
  assert.deepEqual(m.record, { model: '', where: 'server', end: 'stop', promptSeconds: 2 });
  assert.deepEqual(
    [m.calls, m.attachments, m.created],
    [Array(2).fill({ id: '', name: '', arguments: '' }), [{ name: '', text: '' }], 0],
  );
});

test('a file that holds something else is refused, and says why', () => {
  const { c } = talk();
  const broken = (
    change: (file: { version: number; conversations: { messages: { id: string; parent?: string }[] }[] }) => void,
  ) => {
    const file = JSON.parse(toJSON([c]));
    change(file);
    return () => fromJSON(JSON.stringify(file));
  };
  assert.throws(() => fromJSON('{'), /not JSON/);
  assert.throws(() => fromJSON('[]'), /no conversations/);
  assert.throws(() => fromJSON('null'), /no conversations/);
  assert.throws(
    broken((f) => (f.version = 2)),
    /version 2/,
  );
  assert.throws(
    broken((f) => f.conversations[0]!.messages.reverse()),
    /message 1: it follows/,
  );
  assert.throws(
    broken((f) => (f.conversations[0]!.messages[1]!.id = f.conversations[0]!.messages[0]!.id)),
    /id is that of another/,
  );
});

test('Markdown of a conversation has its files in fences that nothing closes', () => {
  const { c, answer } = talk();
  add(c, answer.id, { role: 'user', text: 'Read', attachments: [{ name: 'a.md', text: '```js\nx\n```' }] });
  const text = toMarkdown(c);
  assert.match(text, /^# Why\?\n\n\*\*System\*\*\n\nBe brief\.\n\n\*\*You\*\*\n\nWhy\?\n\n\*\*Model\*\*\n\nBecause\./);
  assert.match(text, /\*a\.md\*\n\n````\n```js\nx\n```\n````/);
  assert.equal(fenced('a`b'), '```\na`b\n```');
  assert.equal(fileName({ ...c, title: 'Où est/le "chat"?' }, 'md'), 'Ou-est-le-chat.md');
  assert.equal(fileName({ ...c, title: '???' }, 'md'), 'conversation.md');
});

test('an engine reads system prompt, files and tools, but no thoughts', () => {
  const { c, answer } = talk();
  answer.reasoning = 'secret';
  answer.calls = [{ id: '1', name: 'f', arguments: '{}' }];
  add(c, answer.id, { role: 'tool', text: '42', call: '1' });
  const turns = turnsOf(c.system, branch(c));
  assert.deepEqual(
    turns.map((t) => t.role),
    ['system', 'user', 'assistant', 'tool'],
  );
  assert.equal(turns[2]!.tool_calls![0]!.function.name, 'f');
  assert.equal(turns[3]!.tool_call_id, '1');
  assert.ok(!JSON.stringify(turns).includes('secret'));
  assert.equal(
    written({ ...answer, text: 'See', attachments: [{ name: 'n', text: 't' }] }),
    'File n:\n```\nt\n```\n\nSee',
  );
  assert.deepEqual(turnsOf(' \n', []), []);
  const failed = newConversation();
  for (const [role, text] of [
    ['user', 'a'],
    ['assistant', ''],
    ['user', 'b'],
  ] as const)
    add(failed, failed.leaf, { role, text });
  assert.deepEqual(turnsOf('', branch(failed)), [{ role: 'user', content: 'a\n\nb' }]);
  const thought = add(failed, failed.leaf, { role: 'assistant', text: '', reasoning: 'Hm' });
  assert.deepEqual(turnsOf('', branch(failed), thought).at(-1), {
    role: 'assistant',
    content: '',
    reasoning_content: 'Hm',
  });
});
