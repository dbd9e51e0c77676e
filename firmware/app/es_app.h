/* The application, the same on every target: answers commands, runs inferences, sends records.
 *
 *   es_app_init();
 *   for (;;) es_app_poll();
 *
 * There is one application, since there is one serial line. es_app_poll never waits.
 */
#ifndef ES_APP_H
#define ES_APP_H

/* Brings up the port, checks the image in the model partition and sends HELLO. May be called again to restart. */
void es_app_init(void);

/* Takes what the host has sent, then does at most one inference. */
void es_app_poll(void);

#endif
