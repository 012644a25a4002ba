import { defineConfig } from "vite";

export default defineConfig({
  // Relative asset URLs: the page also works where a proxy serves it under a prefix.
  base: "./",
  server: {
    proxy: { "/socket.io": { target: "http://127.0.0.1:8000", ws: true } },
  },
  build: {
    outDir: "../rtserver/web",
    emptyOutDir: true,
    // Nothing may become a data: URL or an inline script, so that a strict Content-Security-Policy holds.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
  },
});
