#include "es_app.h"

int main(void) {
    es_app_init();
    for (;;) {
        es_app_poll();
    }
}
