import { svelte } from '@sveltejs/vite-plugin-svelte'
import { loadEnv } from 'vite'
import { defineConfig } from 'vitest/config'

// `npm run dev` shows the screens of a running server: MADANG_URL says which.
const server = loadEnv('', '.', 'MADANG_').MADANG_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: '../madang/console_dist',
    emptyOutDir: true,
    target: 'es2022',
    // Nothing is inlined as data: so that the content security policy needs no `data:` for fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500
  },
  worker: { format: 'es' },
  server: { port: 5173, strictPort: true, proxy: { '/api': server, '/health': server, '/openapi.json': server } },
  test: { include: ['src/**/*.test.ts'], environment: 'node', css: true }
})
