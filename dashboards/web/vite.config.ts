/**
 * How the page is built: relative paths, so that it works behind a path prefix; no inlined assets, so that a strict content
 * policy holds. `EMBERWAY_ADMIN_URL` names the admin listener that `npm run dev` hands the API's calls to.
 */
import { defineConfig } from 'vitest/config';

const admin = process.env['EMBERWAY_ADMIN_URL'] ?? 'http://127.0.0.1:9090';

export default defineConfig({
  base: './',
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: { proxy: { '/api': { target: admin }, '/auth': { target: admin } } },
  test: { include: ['tests/**/*.test.ts'] },
});
