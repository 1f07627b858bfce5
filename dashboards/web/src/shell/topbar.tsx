/** The bar over a section: its title, range, filters, the live light, and the theme. */
import type { Section } from '../pages';
import { theme } from '../state/theme';
import { IconButton } from '../ui/basics';
import { Filters } from './filters';
import { flipTheme, helpShown } from './keys';
import { Light } from './light';
import { RangePicker } from './range';

export function TopBar({ section }: { section: Section }) {
  void theme.value;
  return (
    <section class="topbar" aria-label="Section and range">
      <h1 class="topbar-title">{section.title}</h1>
      <div class="topbar-scope">
        {section.filters.length > 0 && <Filters filters={section.filters} />}
        {section.ranges.length > 0 && <RangePicker ranges={section.ranges} otherwise={section.range} />}
      </div>
      <div class="topbar-end">
        <Light />
        <IconButton glyph="sun" label="Dark or light" onClick={flipTheme} />
        <IconButton glyph="keyboard" label="Keyboard shortcuts" onClick={() => (helpShown.value = true)} />
      </div>
    </section>
  );
}
