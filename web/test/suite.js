// The tests of the package that run both in a browser and in Node. Each test is a function that throws. web_test.go is
// the server; it knows what the native program generates with the same models.
import * as generate from './generate.js';
import * as load from './load.js';

/** Runs the tests whose names match, and reports each. */
export async function run(tell, match = /./) {
  for (const [name, test] of Object.entries({ ...generate.tests, ...load.tests })) {
    if (!match.test(name)) continue;
    const begun = performance.now();
    let error = null;
    try {
      await test();
    } catch (e) {
      error = `${e.message}\n${e.stack}`;
    }
    tell({ name, error, seconds: (performance.now() - begun) / 1000 });
  }
}
