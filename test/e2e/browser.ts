/** A real browser, cut off from every network, and what is asked of every page in it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

const ARTEFACTS = new URL(".artefacts/", import.meta.url).pathname;

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
  });

/** Keep a picture of what is seen, as an artefact of the test run. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  mkdirSync(ARTEFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTEFACTS, `${name}.png`) });
}

export interface Visit {
  readonly page: Page;
  picture(name: string): Promise<void>;
  /** Leave; nothing but the file may have been asked for, and nobody may have complained. */
  leave(): Promise<void>;
}

/** Open a file as a reader does. */
export async function visit(
  browser: Browser,
  file: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 }, ...options });
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  const { href } = pathToFileURL(file);
  await page.goto(href);
  return {
    page,
    picture: (name) => keepPicture(page, name),
    leave: async () => {
      expect(requests.filter((url) => !/^(data|blob):/.test(url))).toEqual([href]);
      expect(complaints).toEqual([]);
      await page.close();
    },
  };
}

/**
 * Texts that are hard to read: those with less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3), as the browser has computed their colours. What
 * is in pictures, invisible or disabled is left out.
 */
export const faintTexts = (page: Page): Promise<string[]> =>
  page.evaluate(`(() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const color = channels(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
      }
      return [255, 255, 255];
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const element = text.parentElement;
      if (!text.textContent.trim() || element.closest("svg, script, style, option, :disabled, .katex-mathml")) continue;
      if (!element.checkVisibility({ opacityProperty: true })) continue;
      const [ink, paper] = [channels(getComputedStyle(element).color), behind(element)].map(light);
      const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
      if (ratio < 4.5) faint.push(ratio.toFixed(2) + ": " + text.textContent.trim().slice(0, 40));
    }
    return faint;
  })()`);
