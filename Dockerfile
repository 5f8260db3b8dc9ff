# docker build -t hubbub . && docker run --rm -p 5000:5000 hubbub
FROM python:3.13-slim AS build
COPY . /source
RUN python3 -m venv /opt/hubbub && /opt/hubbub/bin/pip install --no-cache-dir "/source[web,metrics]"

FROM python:3.13-slim
COPY --from=build /opt/hubbub /opt/hubbub
# Inside a container, the loopback address can be reached by nobody else.
ENV PATH="/opt/hubbub/bin:$PATH" \
    HUBBUB_HOST="::"
# Where module:handler is found.
WORKDIR /app
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 5000
# It drains for up to 10 s, its handlers may take 5 s twice, and a store may take 10 s: docker stop --timeout 35.
STOPSIGNAL SIGTERM
# No HEALTHCHECK: hubbub ends when it cannot serve. One that only connects would leave nothing but a count.
ENTRYPOINT ["hubbub"]
CMD ["serve"]
