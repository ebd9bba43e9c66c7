import react from "@vitejs/plugin-react";
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const FONTS = ["inter", "jetbrains-mono"];

/** Fonts come in by style sheets, which the list of licences does not see. */
function fontLicenses(): Plugin {
    return {
        name: "font-licenses",
        generateBundle() {
            const texts = FONTS.map((font) =>
                readFileSync(`node_modules/@fontsource-variable/${font}/LICENSE`, "utf8"),
            );
            this.emitFile({
                type: "asset",
                fileName: "licenses-fonts.txt",
                source: texts.join("\n"),
            });
        },
    };
}

// Built straight into the package: an editable install serves it, and the wheel carries it.
// `podium serve` on its default port answers the API while `npm run dev` serves the pages.
export default defineConfig({
    plugins: [react(), fontLicenses()],
    build: {
        outDir: "../src/podium/server/ui",
        emptyOutDir: true,
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        license: { fileName: "licenses.md" },
    },
    server: { proxy: { "/v1": "http://127.0.0.1:8470" } },
});
