/* The modules of getaddrinfo(). */
#pragma once

/**
 * Loads the modules that the line "hosts:" of /etc/nsswitch.conf names, which glibc would otherwise
 * map at the first look-up that reaches them, when nothing can be mapped executable any more. What is
 * not installed is left out, as glibc does. Loop thread, before it runs.
 */
void name_services_load(void);
