'use client';
import { useEffect, useRef } from 'react';
import { run } from '../main.js';

// The page is rendered on the server first, which imports the package in Node.
export default function Page() {
  const out = useRef(null);
  useEffect(() => {
    run(out.current);
  }, []);
  return <pre id="out" ref={out} />;
}
