import { defineConfig } from "vitest/config";

// The player's style sheet fetches a font from another origin; no request may leave ours.
const withoutForeignFonts = {
  name: "without-foreign-fonts",
  enforce: "pre" as const,
  transform(code: string, id: string) {
    return id.endsWith("shaka-player/dist/controls.css") ? code.replace(/@font-face\s*\{[^}]*\}/g, "") : undefined;
  },
};

export default defineConfig({
  plugins: [withoutForeignFonts],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    // Inline data addresses would need looser content security rules than 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
    manifest: true,
    rolldownOptions: { input: ["index.html", "picker.html"] },
  },
  worker: { format: "es" },
  server: {
    proxy: Object.fromEntries(
      ["/v1", "/auth", "/files", "/thumbs", "/play", "/kaltura", "/demo-idp", "/docs"].map((p) => [
        p,
        "http://127.0.0.1:8080",
      ]),
    ),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
