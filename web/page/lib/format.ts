// Numbers, sizes and times for people.

export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let i = 0;
  for (; n >= 1000 && i < 3; i++) n /= 1000;
  return `${n.toFixed(n < 10 && i > 0 ? 1 : 0)} ${units[i]}`;
}

export function count(n: number, one: string): string {
  return `${n.toLocaleString('en')} ${one}${n === 1 ? '' : 's'}`;
}

export function seconds(s: number): string {
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

/** Heads a list of conversations: how long ago one was used. */
export function ago(then: number, now = Date.now()): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (then >= midnight) return 'Today';
  if (then >= midnight - 86_400_000) return 'Yesterday';
  if (then >= midnight - 7 * 86_400_000) return 'Last 7 days';
  return 'Earlier';
}
