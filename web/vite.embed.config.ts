import { defineConfig } from "vite";

// The script that other sites load. It keeps its name, so it is built alone: a chunk shared with our
// pages would have another name at every build.
export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    emptyOutDir: false,
    outDir: "dist/embed",
    lib: { entry: "src/embed/v1.ts", formats: ["es"], fileName: () => "v1.js" },
  },
});
