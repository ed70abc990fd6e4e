// Who sees what.
import assert from 'node:assert/strict';

import {accessible, asUser, kDesktop, logIn, settled, shot, trial, withPage} from './browser.mjs';

const kRefused = [/status of 401/];

export async function nobodySeesAnythingBeforeSigningIn() {
  await withPage(kDesktop, async (page) => {
    await page.goto(`${trial.url}/#/search?plate=1000`);
    await page.locator('.login').waitFor();
    await accessible(page, 'login');
    await shot(page, 'login');
    assert.equal(await page.locator('#menu').count(), 0);
    await page.fill('#user', 'vera');
    await page.fill('#password', 'not this one');
    await page.press('#password', 'Enter');
    await page.getByText('User name or password is wrong.').waitFor();
    await page.fill('#password', trial.password);
    await page.press('#password', 'Enter');
    await page.locator('.result').first().waitFor();  // Where the address led.
    const cookies = await page.context().cookies();
    assert.ok(cookies.every((c) => c.httpOnly && c.sameSite === 'Strict'), JSON.stringify(cookies));
    await page.getByRole('button', {name: 'Sign out'}).click();
    await page.locator('.login').waitFor();
    assert.equal(await page.evaluate(() => fetch('/api/records').then((r) => r.status)), 401);
  }, kRefused);
}

export async function aSessionThatEndsLeadsBackToTheSameView() {
  await asUser('vera', '#/cameras', async (page, context) => {
    await settled(page);
    await context.clearCookies();
    await page.evaluate(() => { location.hash = '#/blacklist'; });
    await page.locator('.login').waitFor();
    await logIn(page, 'vera', '#/blacklist');
    await page.getByRole('heading', {name: 'Blacklist', level: 1}).waitFor();
  }, {}, kRefused);
}

const hasButton = (page, name) => page.getByRole('button', {name, exact: true}).count();

export async function aViewerOnlyLooks() {
  await asUser('vera', '#/blacklist', async (page) => {
    await settled(page);
    assert.equal(await page.locator('#menu a[href="#/config"]').count(), 0, 'configuration in the menu');
    assert.equal(await page.locator('#license_plate').count(), 0, 'a form');
    await page.goto(`${trial.url}/#/config`);
    await page.getByText('The configuration is for operators and admins.').waitFor();
    await page.goto(`${trial.url}/#/alerts`);
    await settled(page);
    assert.equal(await hasButton(page, 'Acknowledge'), 0, 'acknowledges');
    await page.goto(`${trial.url}/#/camera/CAM001`);
    await settled(page);
    assert.equal(await page.locator('#camera_name').count(), 0, 'changes a camera');
  });
}

export async function anOperatorPlansAndAnAdminApplies() {
  for (const [user, applies] of [['otto', 0], ['anna', 1]]) {
    await asUser(user, '#/config', async (page) => {
      await page.locator('#yaml').waitFor();
      assert.equal(await hasButton(page, 'Show what would change'), 1, user);
      assert.equal(await hasButton(page, 'Apply'), applies, user);
    });
  }
}
