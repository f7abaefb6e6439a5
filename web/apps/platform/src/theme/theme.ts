import { createTheme, type MantineColorsTuple } from '@mantine/core';

const spruce: MantineColorsTuple = [
  '#eefaf5',
  '#d7f3e7',
  '#aee5cf',
  '#7fd3b4',
  '#4fbb96',
  '#2a9d79',
  '#167f62',
  '#0f6650',
  '#0d5443',
  '#083a2f',
];

/** Cool neutrals; step 6 is the dimmed text and keeps 4.5:1 on the canvas. */
const gray: MantineColorsTuple = [
  '#f6f8f8',
  '#eef1f1',
  '#e1e6e6',
  '#d0d7d7',
  '#b4bebf',
  '#8b989a',
  '#5b686b',
  '#4b575a',
  '#364144',
  '#1d2528',
];

const dark: MantineColorsTuple = [
  '#dce3e5',
  '#bac5c9',
  '#97a5aa',
  '#6d7b81',
  '#3a464c',
  '#2d383e',
  '#20292e',
  '#182025',
  '#12181c',
  '#0c1013',
];

export const theme = createTheme({
  primaryColor: 'spruce',
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  luminanceThreshold: 0.36,
  colors: { spruce, gray, dark },
  black: '#182124',
  fontFamily: '"Geist Variable", system-ui, sans-serif',
  fontFamilyMonospace: '"Geist Mono Variable", ui-monospace, monospace',
  headings: { fontWeight: '620', sizes: { h1: { fontSize: '1.625rem', lineHeight: '1.25' } } },
  defaultRadius: 'md',
  cursorType: 'pointer',
  focusRing: 'auto',
  respectReducedMotion: true,
  components: {
    Tooltip: {
      defaultProps: { withArrow: true, openDelay: 300, events: { hover: true, focus: true, touch: false } },
    },
    Modal: { defaultProps: { centered: true, closeButtonProps: { 'aria-label': 'Close' } } },
    // Its element would be taken for the page's banner.
    ModalHeader: { defaultProps: { role: 'none' } },
    Notification: { defaultProps: { closeButtonProps: { 'aria-label': 'Dismiss' } } },
    Badge: { defaultProps: { variant: 'light', radius: 'sm' } },
  },
});
