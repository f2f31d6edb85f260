# docker build -t tfbind . && docker run -p 127.0.0.1:8501:8501 -v tfbind:/home/tfbind/data tfbind
# The app has no login: whoever reaches the port may use it. Publish it on loopback alone, as above, or to a proxy that
# asks for a password; docs/security.md has one. The names of other hosts go into STREAMLIT_SERVER_ALLOWED_HOSTS.
FROM python:3.12-slim
# https://pypi.org/simple takes a torch for CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN useradd --create-home tfbind
USER tfbind
ENV PATH=/home/tfbind/venv/bin:$PATH TFBIND_HOME=/home/tfbind/data
WORKDIR /home/tfbind/source
COPY --chown=tfbind . .
RUN python -m venv /home/tfbind/venv && mkdir /home/tfbind/data \
    && pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" "$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)" \
    && pip install --no-cache-dir --constraint requirements.txt .
WORKDIR /home/tfbind
VOLUME /home/tfbind/data
EXPOSE 8501
CMD ["tfbind", "ui", "--address", "0.0.0.0"]
